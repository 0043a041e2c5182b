// Package config reads the configuration: environment variables, key files and the few
// everyday flags. It is the only reader of the environment in the house.
//
// One table ([Settings]) lists every setting with its name, the names of other systems
// that are accepted for it, its defaults and how to read it. [Load], the reference page
// docs/reference/configuration.md, `cardea doctor` and the check for misspelt variables
// all come from that table.
//
// Load never stops at the first mistake: its error names every problem and how to mend
// it. Values of secrets appear in no error and no report.
package config
