-- +goose Up
-- Whether a session of ours had a device that the homeserver still has is asked device by device.
CREATE INDEX sessions_ended_device ON sessions (user_id, device_id) WHERE ended_at IS NOT NULL AND device_id <> '';
