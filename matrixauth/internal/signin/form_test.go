package signin_test

import (
	"html"
	"net/url"
	"regexp"
)

// pageForm is a form of a page, with its buttons.
type pageForm struct {
	action  string
	fields  url.Values
	buttons []url.Values
}

var (
	formsIn   = regexp.MustCompile(`(?s)<form method="post" action="([^"]*)"[^>]*>(.*?)</form>`)
	inputsIn  = regexp.MustCompile(`<input ([^>]*)>`)
	buttonsIn = regexp.MustCompile(`<button ([^>]*)>`)
	linksIn   = regexp.MustCompile(`<a class="button[^"]*" href="([^"]*)"`)
	nameIn    = regexp.MustCompile(`\bname="([^"]*)"`)
	valueIn   = regexp.MustCompile(`\bvalue="([^"]*)"`)
	asWhom    = regexp.MustCompile(`signed in as @([a-z]+):`)
)

func attribute(of *regexp.Regexp, text string) string {
	if match := of.FindStringSubmatch(text); match != nil {
		return html.UnescapeString(match[1])
	}
	return ""
}

func formsOf(body string) (forms []pageForm) {
	for _, match := range formsIn.FindAllStringSubmatch(body, -1) {
		f := pageForm{action: html.UnescapeString(match[1]), fields: url.Values{}}
		for _, input := range inputsIn.FindAllStringSubmatch(match[2], -1) {
			if name := attribute(nameIn, input[1]); name != "" {
				f.fields.Set(name, attribute(valueIn, input[1]))
			}
		}
		for _, button := range buttonsIn.FindAllStringSubmatch(match[2], -1) {
			pressed := url.Values{}
			if name := attribute(nameIn, button[1]); name != "" {
				pressed.Set(name, attribute(valueIn, button[1]))
			}
			f.buttons = append(f.buttons, pressed)
		}
		forms = append(forms, f)
	}
	return forms
}
