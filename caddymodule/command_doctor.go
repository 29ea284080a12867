package caddymodule

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth"
)

func doctorCommand() *cobra.Command {
	var e examination
	cmd := &cobra.Command{Use: "doctor", Short: "Looks for what is wrong, and says what to change", Args: cobra.NoArgs}
	synapseFlags(cmd)
	cmd.Flags().StringVar(&e.authorities, "ca-file", "", "Trust the certificate authorities in this PEM file too")
	cmd.Flags().BoolVar(&e.database, "check-database", false, "Read all of the database and see that it is whole, however long it takes")
	cmd.Flags().BoolVar(&e.all, "all", false, "Compare all accounts with Synapse's, however many and however long it takes")
	cmd.Flags().BoolVar(&e.fix, "fix", false, "Mend differences between Synapse's accounts and devices and ours, where it is certain what was meant")
	jsonFlag(cmd)
	yesFlag(cmd)
	cmd.RunE = caddyRun(func(cmd *cobra.Command, _ []string) error {
		findings, err := diagnose(cmd, e)
		if err != nil {
			return err
		}
		return printFindings(cmd, findings)
	})
	return cmd
}

// The names of checks of the command itself.
const (
	secretCheck = "secret"
	serverCheck = "server"
)

// examination is what a doctor is asked to do.
type examination struct {
	authorities string
	all, fix    bool
	database    bool
}

// diagnose collects the findings. An error means that the doctor itself could not work; what is wrong
// with the server is a finding.
func diagnose(cmd *cobra.Command, e examination) ([]matrixauth.Finding, error) {
	var pem []byte
	if e.authorities != "" {
		var err error
		if pem, err = readAuthorities(e.authorities); err != nil {
			return nil, err
		}
	}
	endpoint, err := endpointFlag(cmd)
	if err != nil {
		return nil, err
	}
	s, err := loadSite(cmd)
	if err != nil {
		return []matrixauth.Finding{matrixauth.Wrong("configuration", "broken", err.Error(), "the Caddyfile", "mend the lines that are named")}, nil
	}
	// The database itself is not opened: without a server there is nothing to look at in it.
	operator, unreached := s.reachServer(cmd.Context(), cmd)
	if unreached == nil {
		unreached = s.fill(cmd.Context(), operator)
	}
	findings := []matrixauth.Finding{s.checkConfig(operator != nil)}
	trusted, err := checkTrustedProxies(s.raw, s.file)
	if err != nil {
		return nil, err
	}
	findings = append(findings, trusted...)
	findings = append(findings, s.literalSecrets()...)
	want, err := s.delegation(cmd.Context(), operator)
	if err != nil {
		findings = append(findings, matrixauth.Wrong(secretCheck, "unreadable", err.Error(), cmp.Or(want.SecretPath, s.file), "start Caddy, or have \"caddy matrix-auth synapse-config\" make the secret, or name a file that exists by secret_file"))
	}
	want.Endpoint = cmp.Or(endpoint, want.Endpoint)
	var diagnosis matrixauth.Diagnosis
	if unreached != nil {
		findings = append(findings, s.examineAbsence(cmd, unreached)...)
	} else {
		findings = append(findings, matrixauth.Well(serverCheck, "a server runs on %s", operator.Database()))
		diagnosis, err = examineServer(cmd, operator, e, matrixauth.Examination{SynapseEndpoint: want.Endpoint, Authorities: string(pem), CheckDatabase: e.database})
		if err = errors.Join(err, operator.Close()); err != nil {
			return nil, err
		}
		findings = append(findings, diagnosis.Findings...)
	}
	synapse, err := s.examineSynapse(cmd, matrixauth.SynapseExamination{
		Want: want, Exact: endpoint != "", Near: s.listensNear(),
		ServerName: s.config.ServerName, Issuer: s.config.Issuer, Homeserver: s.config.Endpoint,
		Version: diagnosis.SynapseVersion, Reached: diagnosis.Comparable,
	})
	return append(findings, synapse...), err
}

// examineAbsence returns why no server could be asked.
func (s site) examineAbsence(cmd *cobra.Command, unreached error) []matrixauth.Finding {
	if !errors.Is(unreached, matrixauth.ErrNoServer) {
		return []matrixauth.Finding{matrixauth.Wrong(serverCheck, "unreached", unreached.Error(), s.likely(), "start Caddy with this configuration")}
	}
	var closed *matrixauth.ClosedError
	if errors.As(s.checkClosed(cmd.Context()), &closed) {
		return []matrixauth.Finding{matrixauth.Wrong(serverCheck, "closed", closed.Error(), closed.Database,
			"put the database back, and nothing need be started; or, if it is lost for good: caddy matrix-auth forget")}
	}
	finding := matrixauth.Wrong(serverCheck, "none", "no server is running on the database", s.likely(), "start Caddy with this configuration")
	if waiting := s.waitsFor(cmd.Context()); waiting != "" {
		finding = matrixauth.Wrong(serverCheck, "waiting", waiting, s.likely(), "mend what is named; it is tried every "+lastPause.String())
	}
	return append([]matrixauth.Finding{finding}, matrixauth.ExaminePlace(s.likely())...)
}

// examineSynapse looks at Synapse's configuration, if its files are known, and at the file of the secret.
func (s site) examineSynapse(cmd *cobra.Command, e matrixauth.SynapseExamination) ([]matrixauth.Finding, error) {
	files, err := s.synapseFiles(cmd)
	if err != nil {
		return nil, err
	}
	if s.synapseIsNear() {
		e.User = findSynapseUser(files.paths)
	}
	if len(files.paths) == 0 {
		return matrixauth.ExamineSecretFile(e.Want.SecretPath, e.User), nil
	}
	e.Paths, e.Found = files.paths, files.found
	return matrixauth.ExamineSynapse(e), nil
}

// maxAuthorities bounds a file of certificate authorities, in bytes. A whole system's has a quarter of it.
const maxAuthorities = 1 << 20

func readAuthorities(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	pem, err := io.ReadAll(io.LimitReader(file, maxAuthorities+1))
	if err := errors.Join(err, file.Close()); err != nil {
		return nil, err
	}
	if len(pem) > maxAuthorities {
		return nil, fmt.Errorf("--ca-file: %s is too large for certificate authorities", path)
	}
	return pem, nil
}

// checkConfig reports whether the configuration can be read. What only lacks variables here is no fault while
// the server, which has them, runs by it.
func (s site) checkConfig(reached bool) matrixauth.Finding {
	const check = "configuration"
	switch {
	case s.problem == nil:
		return matrixauth.Well(check, "%s is well-formed", s.file)
	case s.lacks && reached:
		return matrixauth.Well(check, "the running server has variables that this command lacks, and has read what this command cannot: %v", s.problem)
	case s.lacks:
		return matrixauth.Wrong(check, "variables", s.problem.Error(), s.file, "name the file that sets them: --envfile FILE")
	}
	return matrixauth.Wrong(check, "broken", s.problem.Error(), s.file, "mend the lines that are named")
}

// likely returns the path of the database for a message.
func (s site) likely() string {
	path, _, err := s.stored()
	if err != nil {
		return s.places()[0]
	}
	return path
}

// examineServer has the running server look around itself, and compares accounts if it can reach Synapse.
func examineServer(cmd *cobra.Command, o *matrixauth.Operator, e examination, asked matrixauth.Examination) (matrixauth.Diagnosis, error) {
	diagnosis, err := matrixauth.Examine.Do(cmd.Context(), o, asked)
	if err != nil || !diagnosis.Comparable {
		return diagnosis, err
	}
	compared, err := compareAccounts(cmd, o, e)
	diagnosis.Findings = append(diagnosis.Findings, compared...)
	return diagnosis, err
}

// literalSecrets finds the secrets that stand in the configuration themselves (KEY-6). {$NAME} is one of
// them: the adapter has put the value in its place.
func (s site) literalSecrets() (all []matrixauth.Finding) {
	look := func(name, option, secret string) {
		if secret != "" && !strings.HasPrefix(secret, "{") {
			all = append(all, matrixauth.Wrong(secretCheck, "literal",
				option+" stands in the configuration itself, which Caddy keeps on disk, prints with \"caddy adapt\" and shows at its admin endpoint",
				s.file, name+" {env.NAME}, or "+name+"_file /path/to/a/file"))
		}
	}
	look("secret", "the secret shared with Synapse", s.given.Matrix.Secret)
	look("password", "the password at the mail server", s.given.Mail.Password)
	for _, c := range s.given.Client {
		look("secret", "the secret of the client "+c.ID, c.Secret)
	}
	return all
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
	if !wantsJSON(cmd) {
		return say(cmd.OutOrStdout(), "all is well")
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
