package page

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// DefaultAccent is the accent colour of pages whose operator chose none.
const DefaultAccent = "0f6e63"

// colour is a colour of sRGB, each part from 0 to 1.
type colour [3]float64

var (
	white = colour{1, 1, 1}
	black = colour{0, 0, 0}
	// lightGround and darkGround are the least helpful grounds of the stylesheet's two schemes: --tint in
	// the light one and in the dark one.
	lightGround = colour{0xf3 / 255.0, 0xf4 / 255.0, 0xf6 / 255.0}
	darkGround  = colour{0x20 / 255.0, 0x26 / 255.0, 0x2c / 255.0}
)

// readable is the contrast that text needs (WCAG 2.2, 1.4.3).
const readable = 4.5

// parseColour reads a colour written as rrggbb, with a "#" before it or without: in a Caddyfile that sign
// begins a comment.
func parseColour(text string) (c colour, err error) {
	n, err := strconv.ParseUint(strings.TrimPrefix(text, "#"), 16, 24)
	if err != nil || len(strings.TrimPrefix(text, "#")) != 6 {
		return c, fmt.Errorf("%q is not a colour; write one such as %s", text, DefaultAccent)
	}
	for i := range c {
		c[i] = float64(n>>(8*(2-i))&0xff) / 255
	}
	return c, nil
}

// CheckAccent checks an accent colour.
func CheckAccent(text string) error {
	_, err := parseColour(text)
	return err
}

// luminance returns the relative luminance of WCAG 2.2.
func (c colour) luminance() float64 {
	linear := func(v float64) float64 {
		if v <= 0.04045 {
			return v / 12.92
		}
		return math.Pow((v+0.055)/1.055, 2.4)
	}
	return 0.2126*linear(c[0]) + 0.7152*linear(c[1]) + 0.0722*linear(c[2])
}

// contrast returns the contrast ratio of WCAG 2.2, from 1 to 21.
func contrast(a, b colour) float64 {
	x, y := a.luminance(), b.luminance()
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}

// on returns the colour of text on c: white or black, whichever reads better, which is at least 4.58.
func (c colour) on() colour {
	if contrast(c, white) >= contrast(c, black) {
		return white
	}
	return black
}

// towards mixes c with another colour until it can be read on a ground.
func (c colour) towards(target, ground colour) colour {
	const steps = 64
	mixed := c
	for i := range steps + 1 {
		share := float64(i) / steps
		for part := range mixed {
			// As it will be written, so that rounding cannot spoil what was measured.
			mixed[part] = math.Round(255*(c[part]+(target[part]-c[part])*share)) / 255
		}
		if contrast(mixed, ground) >= readable {
			break
		}
	}
	return mixed
}

// String writes the colour as CSS does.
func (c colour) String() string {
	part := func(v float64) int { return int(math.Round(v * 255)) }
	return fmt.Sprintf("#%02x%02x%02x", part(c[0]), part(c[1]), part(c[2]))
}

// accentRules returns the colours that follow an accent, as CSS: for areas, for text on them, and for text
// of that colour in each scheme.
func accentRules(c colour) string {
	return fmt.Sprintf(":root{--accent:%s;--on-accent:%s;--accent-light:%s;--accent-dark:%s}\n",
		c, c.on(), c.towards(black, lightGround), c.towards(white, darkGround))
}
