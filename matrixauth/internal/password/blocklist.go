package password

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"unicode/utf8"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
)

// CheckBlocklist checks a file of passwords that an operator wants refused: text in UTF-8 with one password a line, sorted
// by bytes, so that it can be searched where it lies. It reads the whole file. The error names the line.
func CheckBlocklist(path string) error {
	file, size, err := openBlocklist(path)
	if err != nil {
		return err
	}
	defer file.Close()
	if size > bound.Blocklist {
		return fmt.Errorf("%s has more than %d MiB", path, bound.Blocklist>>20)
	}
	lines := bufio.NewScanner(file)
	lines.Buffer(make([]byte, 64<<10), 64<<10)
	lines.Split(scanLines)
	before, n := []byte{}, 0
	for lines.Scan() {
		n++
		line := lines.Bytes()
		wrong := ""
		switch {
		case len(line) > bound.PasswordMost:
			wrong = fmt.Sprintf("has more than %d bytes, and so is no password", bound.PasswordMost)
		case !utf8.Valid(line):
			wrong = "is not UTF-8"
		case bytes.HasSuffix(line, []byte("\r")):
			wrong = "ends in a carriage return, as files of Windows do; take these out"
		case bytes.Compare(before, line) > 0:
			wrong = "comes before the line above it; sort the file by bytes: LC_ALL=C sort -u -o FILE FILE"
		}
		if wrong != "" {
			return fmt.Errorf("%s, line %d: %s", path, n, wrong)
		}
		before = append(before[:0], line...)
	}
	if errors.Is(lines.Err(), bufio.ErrTooLong) {
		return fmt.Errorf("%s, line %d: has more than %d bytes, and so is no password", path, n+1, bound.PasswordMost)
	}
	if err := lines.Err(); err != nil {
		return err
	}
	if n == 0 {
		return fmt.Errorf("%s is empty", path)
	}
	return nil
}

// scanLines is bufio.ScanLines without a carriage return being dropped.
func scanLines(data []byte, atEOF bool) (advance int, token []byte, err error) {
	if i := bytes.IndexByte(data, '\n'); i >= 0 {
		return i + 1, data[:i], nil
	}
	if atEOF && len(data) > 0 {
		return len(data), data, nil
	}
	return 0, nil, nil
}

func openBlocklist(path string) (file *os.File, size int64, err error) {
	// A look before: opening a pipe would wait for whoever writes to it.
	if info, err := os.Stat(path); err != nil {
		return nil, 0, err
	} else if !info.Mode().IsRegular() {
		return nil, 0, fmt.Errorf("%s is not a file", path)
	}
	if file, err = os.Open(path); err != nil {
		return nil, 0, err
	}
	info, err := file.Stat()
	if err != nil {
		file.Close()
		return nil, 0, err
	}
	return file, info.Size(), nil
}

// inBlocklist reports whether a file for which CheckBlocklist found nothing wrong has one of some words. It reads a few
// kilobytes of the file, and none of it stays in memory.
func inBlocklist(path string, words ...string) (found bool, err error) {
	file, size, err := openBlocklist(path)
	if err != nil {
		return false, err
	}
	defer file.Close()
	for _, word := range words {
		if found, err = searchLines(file, size, []byte(word)); err != nil || found {
			return found, err
		}
	}
	return false, nil
}

// searchLines reports whether sorted lines have a word among them. A file that is not as it was checked leads to a wrong answer
// and no farther: the part that is left shrinks with each step.
func searchLines(file io.ReaderAt, size int64, word []byte) (bool, error) {
	const reach = bound.PasswordMost + 1 // a whole line with its end
	block := make([]byte, 2*reach)
	for low, high := int64(0), size; low < high; {
		middle := low + (high-low)/2
		start := max(low, middle-reach)
		n, err := file.ReadAt(block[:min(int64(len(block)), high-start)], start)
		if err != nil && !errors.Is(err, io.EOF) {
			return false, err
		}
		if n <= int(middle-start) {
			return false, nil // it was shortened meanwhile
		}
		data, at := block[:n], int(middle-start)
		begin := bytes.LastIndexByte(data[:at], '\n') + 1
		end := n
		if i := bytes.IndexByte(data[at:], '\n'); i >= 0 {
			end = at + i
		}
		switch order := bytes.Compare(data[begin:end], word); {
		case order == 0:
			return true, nil
		case order < 0:
			low = start + int64(end) + 1
		default:
			high = start + int64(begin)
		}
	}
	return false, nil
}
