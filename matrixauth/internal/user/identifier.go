package user

import "strings"

// Identifier says who wants to sign in, in one of the forms of the Client-Server API. Blanks around it
// do not count, whoever asks: keyboards of phones add one behind words, and password managers keep it.
// A password is taken as it is.
type Identifier struct {
	// Name is a localpart or a full Matrix id.
	Name string
	// Email is a mail address; it counts if Name is empty.
	Email string
}

// Typed reads what a person typed into the one field of a form: a localpart, a Matrix id or a mail
// address.
func Typed(text string) Identifier {
	if strings.LastIndexByte(strings.TrimSpace(text), '@') > 0 {
		return Identifier{Email: text}
	}
	return Identifier{Name: text}
}

func (id Identifier) trimmed() Identifier {
	return Identifier{Name: strings.TrimSpace(id.Name), Email: strings.TrimSpace(id.Email)}
}
