package role

import "strings"

// Limits of names: they stand in tokens, URLs and audit entries.
const (
	maxName     = 64
	maxSegments = 4
)

// validRole reports whether s may be the name of a role: a lower-case letter, then letters,
// digits, "_" and "-". One spelling only: "Admin" beside "admin" would be an invitation to
// give the wrong one.
func validRole(s string) bool {
	if s == "" || len(s) > maxName || s[0] < 'a' || s[0] > 'z' {
		return false
	}
	for i := range len(s) {
		if !nameByte(s[i]) {
			return false
		}
	}
	return true
}

// validPermission reports whether s may be the name of a permission: up to four segments
// between colons, as in "patient:read:basic".
func validPermission(s string) bool {
	if s == "" || len(s) > maxName || strings.Count(s, ":") >= maxSegments {
		return false
	}
	for segment := range strings.SplitSeq(s, ":") {
		if segment == "" || segment[0] == '-' || segment[0] == '.' {
			return false
		}
		for i := range len(segment) {
			if !nameByte(segment[i]) && segment[i] != '.' {
				return false
			}
		}
	}
	return true
}

// validPattern reports whether s may stand among the permissions of a role: a permission,
// "*", or a permission followed by ":*".
func validPattern(s string) bool {
	prefix, wild := strings.CutSuffix(s, ":*")
	return s == "*" || validPermission(prefix) && (!wild || len(s) <= maxName)
}

func nameByte(b byte) bool {
	return b >= 'a' && b <= 'z' || b >= '0' && b <= '9' || b == '_' || b == '-'
}

// Matches reports whether a permission as roles have it covers the permission of that name.
// "*" covers everything and "patient:*" everything below patient, but not "patient" itself.
// A name with a wildcard in it is covered by nothing: nobody may ask for "all of it".
func Matches(pattern, permission string) bool {
	return validPermission(permission) && covers(pattern, permission)
}

// covers is Matches for patterns on both sides.
func covers(wide, narrow string) bool {
	prefix, wild := strings.CutSuffix(wide, "*")
	return wide == narrow || wide == "*" || wild && strings.HasSuffix(prefix, ":") &&
		len(narrow) > len(prefix) && strings.HasPrefix(narrow, prefix)
}
