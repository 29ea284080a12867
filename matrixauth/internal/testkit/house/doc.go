// Package house is a whole server for tests: a Core and a Server on a real database in a directory of the test,
// the strict fake of the homeserver below, a clock that stands still, and browsers and clients that call it.
// Nothing runs by itself: Pass and Settle are the steps of the outbox. Only tests may import it.
package house
