package doctor

import (
	"net/http"
	"time"
)

// clockTolerance is how far two clocks may differ. Seconds are for the way of the answer.
const clockTolerance = time.Minute

// clock compares our clock with Synapse's, by an answer of Synapse's that has just come.
func (d *Visit) clock(answer answer) {
	const check = "clock"
	theirs, err := http.ParseTime(answer.header.Get("Date"))
	if err != nil {
		return // a proxy between us may leave it out
	}
	off := theirs.Sub(d.Store.Now()).Round(time.Second)
	if off.Abs() > clockTolerance {
		d.bad(check, "off", "Synapse's clock is "+off.String()+" from ours; lifetimes count by ours, and one of the two is wrong", "the clocks of both machines", "have both set by a time service, such as systemd-timesyncd")
		return
	}
	d.good(check, "our clock and Synapse's agree")
}
