package matrixauth

// The values of Config.Recovery.
const (
	RecoveryOn  = "on"
	RecoveryOff = "off"
)

// recoveryProblems returns what is wrong with the setting of recovery.
func recoveryProblems(value string) []Problem {
	if value == RecoveryOn || value == RecoveryOff {
		return nil
	}
	return []Problem{{"recovery", "must be on or off"}}
}
