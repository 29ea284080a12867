package caddymodule

import (
	"bytes"
	"io"

	"github.com/spf13/cobra"
)

// list writes a list that comes in pages, as a table or as JSON. It holds one page at a time: the columns of a table
// are as wide as each page needs.
type list[T any] struct {
	out    io.Writer
	json   bool
	header []string
	row    func(T) []string
	begun  bool
}

func newList[T any](cmd *cobra.Command, header []string, row func(T) []string) *list[T] {
	return &list[T]{out: cmd.OutOrStdout(), json: wantsJSON(cmd), header: header, row: row}
}

// add writes a page.
func (l *list[T]) add(items []T) error {
	if l.json {
		return l.addJSON(items)
	}
	var rows [][]string
	if !l.begun {
		rows = append(rows, l.header)
		l.begun = true
	}
	for _, item := range items {
		rows = append(rows, l.row(item))
	}
	return printTable(l.out, rows)
}

func (l *list[T]) addJSON(items []T) error {
	for _, item := range items {
		var text bytes.Buffer
		if err := printJSON(&text, item); err != nil {
			return err
		}
		before := ",\n"
		if !l.begun {
			before = "[\n"
			l.begun = true
		}
		indented := bytes.ReplaceAll(bytes.TrimSuffix(text.Bytes(), []byte("\n")), []byte("\n"), []byte("\n  "))
		if _, err := io.WriteString(l.out, before+"  "+string(indented)); err != nil {
			return err
		}
	}
	return nil
}

// all writes every page that next returns, until there is no more.
func (l *list[T]) all(next func() (items []T, more bool, err error)) error {
	for more := true; more; {
		var items []T
		var err error
		if items, more, err = next(); err == nil {
			err = l.add(items)
		}
		if err != nil {
			return err
		}
	}
	return l.end()
}

// end writes what is left: an empty list is a heading, or [].
func (l *list[T]) end() error {
	switch {
	case l.json && l.begun:
		_, err := io.WriteString(l.out, "\n]\n")
		return err
	case l.json:
		_, err := io.WriteString(l.out, "[]\n")
		return err
	case !l.begun:
		return l.add(nil)
	}
	return nil
}
