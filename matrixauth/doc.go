// Package matrixauth is the authentication server for a Matrix homeserver, as a library: a Core that
// holds the database and outlives changes of configuration, and a Server per configuration that
// answers requests. It knows net/http and nothing of the server that it is embedded in.
//
// docs/architecture.md draws the packages below internal and says what each may know.
package matrixauth
