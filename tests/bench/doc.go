// Package bench measures the product against plain yardsticks in the same run on the same machine,
// and prints a table of ratios. It asserts nothing. "make bench" runs it, and
// "make bench AGAINST=COMMIT" measures introspection and refresh against those of another commit.
package bench
