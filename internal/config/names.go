package config

import (
	"slices"
	"strings"
)

const (
	prefix       = "CARDEA_"
	testPrefix   = "CARDEA_TEST_" // read by our own tests only
	goTruePrefix = "GOTRUE_"
)

// checkNames looks at every variable whose prefix is ours or GoTrue's: a misspelt
// CARDEA_ variable is an error, because what it was meant to switch stays as it was; a
// variable of GoTrue without effect is reported, never silently swallowed.
func (l *loader) checkNames() {
	known := l.knownNames()
	for name := range l.env {
		switch {
		case known[name], strings.HasPrefix(name, testPrefix):
		case strings.HasPrefix(name, prefix):
			fix := "remove it; `cardea doctor` lists every setting"
			if near := nearest(name, known); near != "" {
				fix = "did you mean " + near + "?"
			}
			l.problem(name, "", "there is no such setting", fix)
		case strings.HasPrefix(name, goTruePrefix):
			text := "not a variable of GoTrue that we know of"
			if goTrueKnows(name) {
				text = "not used by this version"
			}
			l.report.Unused = append(l.report.Unused, Note{Name: name, Text: text})
		}
	}
	slices.SortFunc(l.report.Problems, func(a, b Problem) int { return strings.Compare(a.Setting, b.Setting) })
}

// knownNames is every variable that some setting reads.
func (l *loader) knownNames() map[string]bool {
	known := map[string]bool{"GOTRUE_API_HOST": true, "GOTRUE_API_PORT": true}
	for i := range l.settings {
		for _, name := range l.settings[i].names() {
			known[name] = true
			if l.settings[i].Secret {
				known[name+fileSuffix] = true
			}
		}
	}
	return known
}

// goTrueKnows reports whether GoTrue has such a variable, by name or by family.
func goTrueKnows(name string) bool {
	rest := strings.TrimPrefix(name, goTruePrefix)
	for _, family := range []string{
		"API_", "CORS_", "CUSTOM_OAUTH_", "DB_", "EXPERIMENTAL_", "EXTERNAL_", "HOOK_", "INDEX_WORKER_", "JWT_", "LOG_",
		"MAILER_", "METRICS_", "MFA_", "OAUTH_SERVER_", "OPERATOR_", "PASSKEY_", "PASSWORD_", "PROFILER_", "RATE_LIMIT_",
		"RELOADING_", "SAML_", "SCIM_", "SECURITY_", "SESSIONS_", "SMS_", "SMTP_", "TRACING_", "WEBAUTHN_", "WEBHOOK_",
		"AUDIT_LOG_",
	} {
		if strings.HasPrefix(rest, family) {
			return true
		}
	}
	return slices.Contains([]string{"COOKIE_KEY", "COOKIE_DOMAIN", "COOKIE_DURATION", "OPERATOR_TOKEN", "ANONYMOUS_SIGN_INS_ENABLED"}, rest)
}

// nearest finds the known name that a misspelt one was meant to be, "" if none is close.
func nearest(name string, known map[string]bool) string {
	best, bestDistance := "", 1+max(2, (len(name)-len(prefix))/3)
	for candidate := range known {
		d := distance(name, candidate)
		if d < bestDistance || d == bestDistance && best != "" && candidate < best {
			best, bestDistance = candidate, d
		}
	}
	return best
}

// distance is the Levenshtein distance in bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
