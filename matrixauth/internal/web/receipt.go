package web

import (
	"crypto/hmac"
	"strconv"
	"strings"
	"time"
)

// Receipt is for the address of a page that says that something was done, and until when it holds. It
// follows from the browser's value: a link that somebody else made cannot have the page say so.
func Receipt(value, what string, until time.Time) string {
	when := strconv.FormatInt(until.Unix(), 10)
	return when + "." + receiptMAC(value, what, when)
}

// ReadReceipt returns the time that a receipt of the browser names. It reports false for what is none, and
// for one about something else.
func ReadReceipt(value, what, receipt string) (until time.Time, ok bool) {
	when, mac, _ := strings.Cut(receipt, ".")
	seconds, err := strconv.ParseInt(when, 10, 64)
	if err != nil || value == "" || !hmac.Equal([]byte(mac), []byte(receiptMAC(value, what, when))) {
		return time.Time{}, false
	}
	return time.Unix(seconds, 0), true
}

func receiptMAC(value, what, when string) string {
	return derive(value, "matrix-auth receipt\x00"+what+"\x00"+when)
}
