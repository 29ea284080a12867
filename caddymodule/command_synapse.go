package caddymodule

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/spf13/cobra"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
)

// delegation is what Synapse must know of this configuration.
func (s site) delegation() (matrixauth.Delegation, error) {
	d := matrixauth.Delegation{Endpoint: s.synapseEndpoint(), Secret: s.config.Secret}
	switch {
	case s.given.Matrix.SecretFile != "":
		path, err := caddy.NewReplacer().ReplaceOrErr(s.given.Matrix.SecretFile, true, true)
		if err != nil {
			return d, err
		}
		if d.SecretPath, err = filepath.Abs(path); err != nil {
			return d, err
		}
	case s.given.Matrix.Secret == "":
		d.SecretPath = s.secretFile
		secret, err := matrixauth.ReadSecret(s.secretFile)
		if errors.Is(err, os.ErrNotExist) {
			return d, fmt.Errorf("the secret is not generated yet (%s); start the server once", s.secretFile)
		}
		if err != nil {
			return d, err
		}
		d.Secret = secret
	}
	return d, nil
}

// synapseEndpoint is the address at which Synapse finds us: the internal listener, or the issuer if
// there is none.
func (s site) synapseEndpoint() string {
	if s.listenDefault {
		return "http://localhost:8080/"
	}
	if len(s.listen) == 0 {
		return strings.TrimSuffix(s.config.Issuer, "/") + "/"
	}
	host, port, err := net.SplitHostPort(s.listen[0])
	if err != nil {
		return "http://" + s.listen[0] + "/"
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	return "http://" + net.JoinHostPort(host, port) + "/"
}

func synapseConfigCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "synapse-config", Short: "Prints the block for Synapse's homeserver.yaml", Args: cobra.NoArgs}
	cmd.RunE = siteRun(func(cmd *cobra.Command, _ []string, s site) error {
		d, err := s.delegation()
		if err != nil {
			return err
		}
		var out strings.Builder
		out.WriteString(d.Block())
		out.WriteString("\n# These settings keep Synapse from starting beside the block and must go from homeserver.yaml:\n")
		for _, r := range matrixauth.SettingsToRemove() {
			fmt.Fprintf(&out, "#   %s: %s\n", r.Key, r.Why)
		}
		remark := "Synapse's user must be able to read " + d.SecretPath
		if d.SecretPath == "" {
			remark = "the block holds the secret itself; with secret_file in the Caddyfile it names a file instead"
		}
		if err := say(cmd.ErrOrStderr(), "%s", remark); err != nil {
			return err
		}
		return sayText(cmd.OutOrStdout(), out.String())
	})
	return cmd
}

func doctorCommand() *cobra.Command {
	var synapse, authorities string
	cmd := &cobra.Command{Use: "doctor", Short: "Looks for what is wrong, and says what to change", Args: cobra.NoArgs}
	cmd.Flags().StringVar(&synapse, "synapse-config", "", "Look at this homeserver.yaml too")
	cmd.Flags().StringVar(&authorities, "ca-file", "", "Trust the certificate authorities in this PEM file too")
	jsonFlag(cmd)
	cmd.RunE = caddyRun(func(cmd *cobra.Command, _ []string) error {
		findings, err := diagnose(cmd, synapse, authorities)
		if err != nil {
			return err
		}
		return printFindings(cmd, findings)
	})
	return cmd
}

// diagnose collects the findings. An error means that the doctor itself could not work; what is wrong
// with the server is a finding.
func diagnose(cmd *cobra.Command, synapse, authorities string) ([]matrixauth.Finding, error) {
	var pem []byte
	if authorities != "" {
		var err error
		if pem, err = os.ReadFile(authorities); err != nil {
			return nil, err
		}
	}
	s, err := loadSite(cmd)
	if err != nil {
		return []matrixauth.Finding{{Check: "configuration", What: err.Error(), Where: "the Caddyfile", Change: "mend the lines that are named"}}, nil
	}
	findings := []matrixauth.Finding{{Check: "configuration", OK: true, What: s.file + " is well-formed"}}
	trusted, err := judgeTrusted(s.raw, s.file)
	if err != nil {
		return nil, err
	}
	findings = append(findings, trusted...)
	want, err := s.delegation()
	if err != nil {
		findings = append(findings, matrixauth.Finding{Check: "secret", What: err.Error(), Where: cmp.Or(want.SecretPath, s.file), Change: "caddy start, or secret_file with a file that exists"})
	}
	version := ""
	operator, err := s.reach(cmd.Context(), cmd)
	switch {
	case err != nil:
		findings = append(findings, matrixauth.Finding{Check: "server", What: err.Error(), Where: s.database, Change: "start Caddy with this configuration"})
	case !operator.Live():
		findings = append(findings, matrixauth.Finding{Check: "server", What: "no server is running on the database", Where: s.database, Change: "start Caddy with this configuration"})
	default:
		findings = append(findings, matrixauth.Finding{Check: "server", OK: true, What: "a server runs on " + operator.Database()})
		diagnosis, err := matrixauth.Examine.Do(cmd.Context(), operator, matrixauth.Examination{SynapseEndpoint: want.Endpoint, Authorities: string(pem)})
		if err != nil {
			return nil, errors.Join(err, operator.Close())
		}
		version, findings = diagnosis.SynapseVersion, append(findings, diagnosis.Findings...)
	}
	if operator != nil {
		if err := operator.Close(); err != nil {
			return nil, err
		}
	}
	if synapse != "" {
		findings = append(findings, matrixauth.ExamineSynapse(synapse, want, s.config.ServerName, version)...)
	}
	return findings, nil
}

func printFindings(cmd *cobra.Command, findings []matrixauth.Finding) error {
	bad := 0
	for _, f := range findings {
		if !f.OK {
			bad++
		}
	}
	if wantsJSON(cmd) {
		if err := printJSON(cmd.OutOrStdout(), findings); err != nil {
			return err
		}
	} else {
		for _, f := range findings {
			if err := printFinding(cmd.OutOrStdout(), f); err != nil {
				return err
			}
		}
	}
	if bad > 0 {
		return fmt.Errorf("%d of %d checks found something", bad, len(findings))
	}
	return nil
}

func printFinding(w io.Writer, f matrixauth.Finding) error {
	mark := "ok   "
	if !f.OK {
		mark = "WRONG"
	}
	err := say(w, "%s %s: %s", mark, f.Check, f.What)
	if f.Where != "" {
		err = errors.Join(err, say(w, "      where:  %s", f.Where))
	}
	if f.Change != "" {
		err = errors.Join(err, sayText(w, "      change: "+visibleLines(f.Change, "              ")+"\n"))
	}
	return err
}
