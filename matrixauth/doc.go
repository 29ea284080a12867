// Package matrixauth is the authentication server for a Matrix homeserver, as a library: a Core that
// holds the database and outlives changes of configuration, and a Server per configuration that
// answers requests. It knows net/http and nothing of the server that it is embedded in.
//
// It is wiring alone: what a Config may say, how the parts are made and what outlives what. The rest lies in
// packages below internal, which import only what stands below them:
//
//	edge                            the table of paths, the guard, the answer to each request
//	gateway compat oauth account    the doors: parse, call the domain, render
//	control operate                 the socket of commands, and what they have done
//	doctor metrics                  what tells operators how it goes
//	signin grant client session     the domain: what may happen, each change in one transaction
//	browser user reconcile
//	outbox homeserver               work that must survive a crash; the client of the homeserver
//	store                           rows and transactions, the only SQL
//	model                           the words of the domain
//	web page limit password place   tools that know no feature
//	synapseconfig fault
//
// docs/architecture.md says what each owns and must not do; a test holds who may import whom. Types and functions
// of theirs that commands need have their names here too.
package matrixauth
