package caddymodule

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"
)

// newPassword asks for a new password, hidden and twice; if standard input is not a terminal it is one
// line of it. The password is text in UTF-8: else no client could ever send the same.
func newPassword(cmd *cobra.Command) (string, error) {
	in, ok := cmd.InOrStdin().(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		line, err := bufio.NewReader(io.LimitReader(cmd.InOrStdin(), 64<<10)).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return "", fmt.Errorf("the password cannot be read: %w", err)
		}
		// Editors and shells of Windows put a byte order mark before a text, and end its lines by CR LF.
		if line = strings.TrimRight(strings.TrimPrefix(line, "\ufeff"), "\r\n"); line == "" {
			return "", errors.New("standard input holds no password")
		}
		return line, checkText("the password on standard input", line)
	}
	first, err := hidden(cmd, in, "Password: ")
	if err != nil {
		return "", err
	}
	second, err := hidden(cmd, in, "Again: ")
	if err != nil {
		return "", err
	}
	if first != second {
		return "", errors.New("the two passwords differ")
	}
	return first, checkText("the password", first)
}

// checkText refuses what is not text in UTF-8: on its way as JSON it would become another one. what names it,
// as it may be a secret.
func checkText(what, text string) error {
	switch {
	case strings.ContainsRune(text, 0):
		return fmt.Errorf("%s holds a NUL character; is it UTF-16? Convert it to UTF-8", what)
	case !utf8.ValidString(text):
		return fmt.Errorf("%s is not UTF-8; convert it, or set the terminal to UTF-8", what)
	}
	return nil
}

// hidden reads a line without echo. An interrupt gives the terminal its echo back.
func hidden(cmd *cobra.Command, in *os.File, prompt string) (string, error) {
	fd := int(in.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return "", fmt.Errorf("the terminal cannot be used: %w", err)
	}
	interrupted := make(chan os.Signal, 1)
	done := make(chan struct{})
	signal.Notify(interrupted, os.Interrupt)
	defer func() { signal.Stop(interrupted); close(done) }()
	go func() {
		select {
		case <-interrupted:
			_ = term.Restore(fd, before) // the process ends here
			os.Exit(130)
		case <-done:
		}
	}()
	if err := ask(cmd.ErrOrStderr(), prompt); err != nil {
		return "", err
	}
	text, err := term.ReadPassword(fd)
	if err = errors.Join(err, say(cmd.ErrOrStderr(), "")); err != nil {
		return "", fmt.Errorf("the password cannot be read: %w", err)
	}
	return string(text), nil
}

func yesFlag(cmd *cobra.Command) { cmd.Flags().Bool("yes", false, "Do not ask for confirmation") }

// confirm asks before something that cannot be undone. Without a terminal only --yes will do.
func confirm(cmd *cobra.Command, question string) error {
	if sure, err := cmd.Flags().GetBool("yes"); err == nil && sure {
		return nil
	}
	in, ok := cmd.InOrStdin().(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		return errors.New("this cannot be undone; confirm it with --yes")
	}
	if err := ask(cmd.ErrOrStderr(), question+" [y/N] "); err != nil {
		return err
	}
	answer, err := bufio.NewReader(in).ReadString('\n')
	if err != nil {
		return fmt.Errorf("the answer cannot be read: %w", err)
	}
	if answer = strings.ToLower(strings.TrimSpace(answer)); answer != "y" && answer != "yes" {
		return errors.New("nothing was done")
	}
	return nil
}

// checkWords refuses arguments and flags that are not text, and flags that are there and empty: a script whose
// variable is not set means something else than a command without the flag, which acts on the running server.
func checkWords(cmd *cobra.Command, args []string) (err error) {
	for i, arg := range args {
		err = errors.Join(err, checkText(fmt.Sprintf("argument %d", i+1), arg))
	}
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if f.Value.String() == "" && f.Name != "synapse-config" { // whose empty value says that there is none
			err = errors.Join(err, fmt.Errorf("--%s is empty; leave it out, or see what should stand there", f.Name))
		}
		err = errors.Join(err, checkText("--"+f.Name, f.Value.String()))
	})
	return err
}
