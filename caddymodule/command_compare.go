package caddymodule

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
)

const (
	// compareAtMost and compareFor bound a comparison that was not asked for by --all.
	compareAtMost = 2000
	compareFor    = 30 * time.Second
	// progressEvery is the time between two lines that tell how far a long comparison is.
	progressEvery = 5 * time.Second
	// namedAtMost is how many harmless differences are named where people read.
	namedAtMost = 10
)

// comparison is a comparison of accounts, part by part.
type comparison struct {
	differences                 []matrixauth.Difference
	compared, waiting, accounts int
	// complete reports whether all accounts were looked at.
	complete bool
}

// compareAccounts compares Synapse's accounts and devices with ours, mends what is certain if that was asked
// for, and returns the findings. That Synapse cannot be read is a finding.
func compareAccounts(cmd *cobra.Command, o *matrixauth.Operator, e examination) ([]matrixauth.Finding, error) {
	c, err := compareParts(cmd.ErrOrStderr(), e.all, time.Now, func(after string) (matrixauth.Compared, error) {
		return matrixauth.CompareAccounts.Do(cmd.Context(), o, matrixauth.Comparison{After: after})
	})
	if err != nil {
		return []matrixauth.Finding{matrixauth.Wrong(matrixauth.ComparisonCheck, "failed", "Synapse's accounts cannot be compared with ours: "+err.Error(),
			"Synapse's administration API", "let us reach /_synapse/admin/ at the endpoint of the Caddyfile; the public need not")}, nil
	}
	var findings []matrixauth.Finding
	for _, d := range c.differences {
		findings = append(findings, matrixauth.DifferenceFinding(d))
	}
	if e.fix {
		if err := mend(cmd, o, findings); err != nil {
			return nil, err
		}
	}
	if !wantsJSON(cmd) {
		findings = summarize(findings)
	}
	return append([]matrixauth.Finding{c.summary()}, findings...), nil
}

func (c comparison) summary() matrixauth.Finding {
	text := fmt.Sprintf("%d of %d accounts were compared with Synapse's; %d differences", c.compared, c.accounts, len(c.differences))
	if c.waiting > 0 {
		text += fmt.Sprintf("; %d wait for Synapse and were left out", c.waiting)
	}
	if !c.complete {
		text += "; --all compares all"
	}
	return matrixauth.Well(matrixauth.ComparisonCheck, "%s", text)
}

// compareParts asks for part after part until the end, or until it has been enough, and tells how far it is
// if it takes long.
func compareParts(progress io.Writer, all bool, now func() time.Time, ask func(after string) (matrixauth.Compared, error)) (c comparison, err error) {
	begun := now()
	told := begun
	for after := ""; ; {
		part, err := ask(after)
		if err != nil {
			return c, err
		}
		c.differences = append(c.differences, part.Differences...)
		c.compared, c.waiting, c.accounts = c.compared+part.Compared, c.waiting+part.Waiting, part.Accounts
		if after = part.Next; after == "" {
			c.complete = true
			return c, nil
		}
		if !all && (c.compared >= compareAtMost || now().Sub(begun) > compareFor) {
			return c, nil
		}
		if now().Sub(told) > progressEvery {
			told = now()
			if err := say(progress, "%d of %d accounts compared", c.compared, c.accounts); err != nil {
				return c, err
			}
		}
	}
}

// mend mends what is certain, after a question, and notes in the findings what became of it.
func mend(cmd *cobra.Command, o *matrixauth.Operator, findings []matrixauth.Finding) error {
	certain := map[string]int{}
	total := 0
	for _, f := range findings {
		if f.Difference.Certain {
			certain[f.Difference.Kind]++
			total++
		}
	}
	if total == 0 {
		return say(cmd.ErrOrStderr(), "nothing is to be mended of which it is certain what was meant")
	}
	question := fmt.Sprintf("End %d sessions without a device, delete %d devices of sessions that have ended, deactivate %d accounts here and make %d at Synapse?",
		certain[matrixauth.SessionWithoutDevice], certain[matrixauth.DeviceWithoutSession], certain[matrixauth.DeactivatedThere], certain[matrixauth.UnknownThere])
	if err := confirm(cmd, question); err != nil {
		return err
	}
	for i := range findings {
		f := &findings[i]
		if !f.Difference.Certain {
			continue
		}
		mended, err := matrixauth.MendDifference.Do(cmd.Context(), o, *f.Difference)
		if err != nil {
			return err
		}
		if mended.Done {
			f.OK, f.What, f.Where, f.Change = true, f.What+"; mended", "", ""
			continue
		}
		f.What += "; it was not mended: " + mended.Why
	}
	return nil
}

// summarize brings the differences that are no fault together: a server may have thousands of devices from
// before.
func summarize(findings []matrixauth.Finding) (kept []matrixauth.Finding) {
	var names []string
	devices := 0
	for _, f := range findings {
		if !f.OK || f.Difference.Certain {
			kept = append(kept, f)
			continue
		}
		if devices++; len(names) < namedAtMost {
			names = append(names, f.Difference.DeviceID+" of "+f.Difference.User)
		}
	}
	if devices == 0 {
		return kept
	}
	text := fmt.Sprintf("%d devices at Synapse have no session here; they may be of a bridge, or left from before, and are left alone: %s", devices, strings.Join(names, ", "))
	if devices > len(names) {
		text += ", and more, which --json lists"
	}
	return append(kept, matrixauth.Well(matrixauth.ComparisonCheck, "%s", text))
}
