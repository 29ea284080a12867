package model

// ActorKind tells what kind of party has something done. The values are stored.
type ActorKind string

// The kinds of Actor.
const (
	// ActorOperator is a user of the machine who runs a command.
	ActorOperator ActorKind = "operator"
	// ActorUser is the holder of an account, at our pages or by an app.
	ActorUser ActorKind = "user"
	// ActorServer is the server itself, which follows what it learned.
	ActorServer ActorKind = "server"
)

// Actor is who has something done.
type Actor struct {
	Kind ActorKind
	// ID is the uid of an operator, or the id of an account; empty where it is not known.
	ID string
	// Name is the name that an operator has on the machine; empty for other kinds.
	Name string
	// Source is where a user's request came from; empty for other kinds.
	Source Source
}

// Operator returns the Actor of a user of the machine.
func Operator(uid, name string) Actor { return Actor{Kind: ActorOperator, ID: uid, Name: name} }

// Holder returns the Actor of the holder of an account, whose request came from source.
func Holder(userID string, source Source) Actor {
	return Actor{Kind: ActorUser, ID: userID, Source: source}
}

// TheServer returns the Actor of what the server does of its own accord.
func TheServer() Actor { return Actor{Kind: ActorServer} }
