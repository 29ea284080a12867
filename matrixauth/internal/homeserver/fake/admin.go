package fake

// Deactivate deactivates a user as an administrator of the homeserver does, without our knowledge.
func (s *Synapse) Deactivate(localpart string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if u := s.users[localpart]; u != nil {
		s.delete(u, params{})
	}
}

// Remove makes the homeserver forget a user, as one that was restored from an older database does.
func (s *Synapse) Remove(localpart string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.users, localpart)
}

// DeleteDevices deletes devices of a user as an administrator of the homeserver does.
func (s *Synapse) DeleteDevices(localpart string, ids ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if u := s.users[localpart]; u != nil {
		for _, id := range ids {
			delete(u.Devices, id)
		}
	}
}
