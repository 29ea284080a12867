package matrixauth

// The values of Config.LegacyAccount.
const (
	LegacyAccountOn  = "on"
	LegacyAccountOff = "off"
)

// legacyAccountProblems returns what is wrong with the setting of what old clients can do about the account.
func legacyAccountProblems(value string) []Problem {
	if value == LegacyAccountOn || value == LegacyAccountOff {
		return nil
	}
	return []Problem{{"legacy_account", "must be on or off"}}
}
