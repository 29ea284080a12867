package page

import (
	"regexp"
	"testing"
)

// TestAccent: whatever colour an operator chooses, what is written on it and with it can be read (WCAG
// 2.2, 1.4.3).
func TestAccent(t *testing.T) {
	for i := 0; i < 1<<24; i += 40_503 {
		c := colour{float64(i>>16) / 255, float64(i>>8&0xff) / 255, float64(i&0xff) / 255}
		if r := contrast(c, c.on()); r < readable {
			t.Errorf("text on %s has the contrast %.2f", c, r)
		}
		if light := c.towards(black, lightGround); contrast(light, lightGround) < readable || contrast(light, white) < readable {
			t.Errorf("%s becomes %s, which cannot be read in the light", c, light)
		}
		dark := c.towards(white, darkGround)
		if contrast(dark, darkGround) < readable {
			t.Errorf("%s becomes %s, which cannot be read in the dark", c, dark)
		}
	}
	if got := accentRules(white); got != ":root{--accent:#ffffff;--on-accent:#000000;--accent-light:#6c6c6c;--accent-dark:#ffffff}\n" {
		t.Errorf("white gives %s", got)
	}
	for _, bad := range []string{"", "#fff", "green", "#12345g", "1234567", "##12345", "+12345", "0x1234"} {
		if CheckAccent(bad) == nil {
			t.Errorf("%q is taken for a colour", bad)
		}
	}
	for _, fine := range []string{"#0F6e63", "0f6e63"} {
		if c, err := parseColour(fine); err != nil || c.String() != "#0f6e63" {
			t.Errorf("%q is %s, %v", fine, c, err)
		}
	}
}

// TestStylesheetContrast holds the fixed colours of the stylesheet to what text needs, in both schemes,
// and the edges of fields to what they need (WCAG 2.2, 1.4.3 and 1.4.11).
func TestStylesheetContrast(t *testing.T) {
	data, err := embedded.ReadFile(styleFile)
	if err != nil {
		t.Fatal(err)
	}
	schemes := []map[string]colour{{}, {}}
	for _, match := range regexp.MustCompile(`--([a-z-]+): (#[0-9a-f]{6});`).FindAllStringSubmatch(string(data), -1) {
		c, err := parseColour(match[2])
		if err != nil {
			t.Fatal(err)
		}
		i := 0
		if _, twice := schemes[0][match[1]]; twice {
			i = 1
		}
		schemes[i][match[1]] = c
	}
	for i, s := range schemes {
		for _, pair := range []struct {
			text, ground string
			need         float64
		}{
			{"ink", "ground", readable}, {"ink", "card", readable}, {"ink", "tint", readable}, {"soft", "ground", readable}, {"soft", "card", readable},
			{"soft", "tint", readable}, {"bad", "card", readable}, {"bad", "bad-tint", readable}, {"edge", "card", 3},
		} {
			if r := contrast(s[pair.text], s[pair.ground]); r < pair.need {
				t.Errorf("scheme %d: %s on %s has the contrast %.2f", i, pair.text, pair.ground, r)
			}
		}
		ground := []colour{lightGround, darkGround}[i]
		if s["tint"] != ground {
			t.Errorf("scheme %d: the accent is fitted to %s, and the ground is %s", i, ground, s["tint"])
		}
	}
}
