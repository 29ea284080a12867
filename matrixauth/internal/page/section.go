package page

// Section is one of the account pages, as their navigation lists it.
type Section struct {
	// Key tells it from the others: it is the template of its first page. Path is where that is, and Text the key of its
	// name.
	Key, Path, Text string
}

// Sections are the account pages, in the order of their navigation.
var Sections = []Section{
	{"profile", ProfilePath, "profile.section"},
	{"addresses", AddressesPath, "address.section"},
	{"change_password", PasswordPath, "login.password"},
	{"account", AccountPath, "account.apps"},
	{"browsers", BrowsersPath, "account.browsers"},
	{"activity", ActivityPath, "activity.section"},
	{"leave", LeavePath, "leave.section"},
}

// A sectionPage is one of the account pages: the navigation is around it. Its type embeds one of those below, which say in
// which section it is.
type sectionPage interface {
	// section is the key of the section.
	section() string
}

type (
	inProfile   struct{}
	inAddresses struct{}
	inPassword  struct{}
	inApps      struct{}
	inBrowsers  struct{}
	inActivity  struct{}
	inLeaving   struct{}
)

func (inProfile) section() string   { return "profile" }
func (inAddresses) section() string { return "addresses" }
func (inPassword) section() string  { return "change_password" }
func (inApps) section() string      { return "account" }
func (inBrowsers) section() string  { return "browsers" }
func (inActivity) section() string  { return "activity" }
func (inLeaving) section() string   { return "leave" }

// NavigationLine is one line of the navigation.
type NavigationLine struct {
	// Address is where it leads, Text its name in the language of the page.
	Address, Text string
	// Current is the value of aria-current: "page" at the section's first page, "true" at its others, else empty.
	Current string
}

// Navigation returns the account pages around one of them, and nothing around others.
func (v *view) Navigation() (lines []NavigationLine) {
	at, ok := v.Page.(sectionPage)
	if !ok {
		return nil
	}
	for _, s := range Sections {
		line := NavigationLine{Address: v.Base() + s.Path, Text: v.T(s.Text)}
		switch {
		case s.Key == v.Page.template():
			line.Current = "page"
		case s.Key == at.section():
			line.Current = "true"
		}
		lines = append(lines, line)
	}
	return lines
}
