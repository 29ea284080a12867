// Package move takes the accounts of another server over into our store: it knows neither that server's tables nor how it
// is reached, which a Source does. A run may be repeated: what was taken stands in a journal, so that the next run takes
// along what has changed there since and takes away what is gone, unless it was changed here.
package move
