package config

import (
	"fmt"
	"strings"
)

// Reference writes the reference page of all settings in Markdown. A test compares it
// with docs/reference/configuration.md.
func Reference() string {
	var b strings.Builder
	b.WriteString(referenceHead)
	group := ""
	for _, s := range Settings() {
		if s.Group != group {
			group = s.Group
			fmt.Fprintf(&b, "\n## %s\n\n| setting | default | what |\n|---|---|---|\n", group)
		}
		writeRow(&b, &s)
	}
	return b.String()
}

func writeRow(b *strings.Builder, s *Setting) {
	name := "`" + s.Name + "`"
	if s.Flag != "" {
		name += "<br>flag `--" + s.Flag + "`"
	}
	for _, a := range s.Aliases {
		name += "<br>also `" + a + "`"
	}
	def := "none"
	switch {
	case s.Default != "":
		def = "`" + s.Default + "`"
	case s.Computed != "":
		def = s.Computed
	}
	if s.Default != "" && s.Computed != "" {
		def += "; " + s.Computed
	}
	if s.DevDefault != "" {
		def += "<br>dev: `" + s.DevDefault + "`"
	}
	help := s.Help + " <br>*" + s.Kind
	if s.Secret {
		help += ", secret"
	}
	fmt.Fprintf(b, "| %s | %s | %s* |\n", name, def, strings.ReplaceAll(help, "|", `\|`))
}

const referenceHead = `# Configuration

Generated from the table in internal/config; a test keeps it current
(` + "`go test ./internal/config -update`" + ` writes it). ` + "`cardea doctor`" + ` shows each setting of
this machine, where it comes from and what is wrong with it.

- Settings are environment variables; the few everyday ones are flags too. A flag beats a variable.
- The names after *also* mean the same. When two names give one setting different values, Cardea
  doesn't start. An empty variable counts as not set.
- For every *secret* a variable with ` + "`_FILE`" + ` at the end may name a file that holds it, such as
  ` + "`CARDEA_ENCRYPTION_KEY_FILE=/run/secrets/cardea_key`" + `.
- A variable that begins with ` + "`CARDEA_`" + ` and isn't listed here is an error. Variables of GoTrue
  (` + "`GOTRUE_...`" + `) that this version doesn't use are listed by ` + "`cardea doctor`" + `.
- Durations are written ` + "`3600` (seconds), `90s`, `15m`, `1h30m` or `30d`" + `.
- *dev* is the default in ` + "`cardea dev`" + `.
`
