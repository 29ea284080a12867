// Package bench measures the product against plain yardsticks in the same run on the same machine,
// and prints a table of ratios. It asserts nothing. "make bench" runs it.
package bench
