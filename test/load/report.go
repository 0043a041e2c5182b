package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"text/tabwriter"
	"time"
)

// report is one run.
type report struct {
	At          time.Time `json:"at"`
	Processors  int       `json:"processors"`
	Database    string    `json:"database"`
	Users       int       `json:"users"`
	Sessions    int       `json:"sessions"`
	Connections int       `json:"connections"`
	StartMS     float64   `json:"start_ms,omitempty"` // from exec to the first healthy answer
	IdleRSS     float64   `json:"idle_resident_mib,omitempty"`
	Results     []result  `json:"results"`
}

func newReport(l *lab) *report {
	kind, _, _ := strings.Cut(l.database, ":")
	if kind == "postgresql" {
		kind = "postgres"
	}
	if l.store == nil {
		kind = "unknown"
	}
	return &report{
		At: time.Now().UTC().Truncate(time.Second), Processors: runtime.NumCPU(), Database: kind,
		Users: l.users, Sessions: max(l.sessions, l.conns), Connections: l.conns,
		StartMS: float64(l.started.Microseconds()) / 1000,
	}
}

// failure is an error when nothing was measured or when answers were wrong: figures of a
// server that refuses are worth nothing.
func (r *report) failure() error {
	if len(r.Results) == 0 {
		return errors.New("nothing was measured")
	}
	var errs []error
	for _, res := range r.Results {
		switch {
		case res.Errors > 0:
			errs = append(errs, fmt.Errorf("%s: %d errors, the first: %s", res.Scenario, res.Errors, res.FirstError))
		case res.Requests == 0:
			errs = append(errs, fmt.Errorf("%s: no request was answered in time", res.Scenario))
		}
	}
	return errors.Join(errs...)
}

func (r *report) write(w io.Writer, format string) error {
	switch format {
	case "json":
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(r)
	case "markdown":
		return r.markdown(w)
	default:
		return r.table(w)
	}
}

func writeFile(name string, r *report) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	return errors.Join(r.write(f, "json"), f.Close())
}

// headings and cells are the columns of both tables.
func headings() []string {
	return []string{"scenario", "requests/s", "p50 ms", "p95 ms", "p99 ms", "errors", "server µs", "database µs", "sum µs", "resident MiB"}
}

func (res *result) cells() []string {
	ms := func(us float64) string { return fmt.Sprintf("%.2f", us/1000) }
	us := func(v float64) string {
		if v < 0 {
			return "–"
		}
		return fmt.Sprintf("%.0f", v)
	}
	sum := max(res.ServerCPU, 0) + max(res.DBCPU, 0)
	if res.ServerCPU < 0 {
		sum = -1
	}
	return []string{
		res.Scenario, fmt.Sprintf("%.0f", res.PerSecond), ms(res.P50), ms(res.P95), ms(res.P99), fmt.Sprint(res.Errors),
		us(res.ServerCPU), us(res.DBCPU), us(sum), fmt.Sprintf("%.0f", res.ServerRSS),
	}
}

// title says what was measured, in one line.
func (r *report) title() string {
	s := fmt.Sprintf("%s, %d users, %d connections, %d processors", r.Database, r.Users, r.Connections, r.Processors)
	if r.StartMS > 0 {
		s += fmt.Sprintf("; start %.0f ms, idle %.0f MiB", r.StartMS, r.IdleRSS)
	}
	return s
}

func (r *report) table(w io.Writer) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(tw, "%s\n", r.title())
	fmt.Fprintf(tw, "%s\t\n", strings.Join(headings(), "\t"))
	for i := range r.Results {
		fmt.Fprintf(tw, "%s\t\n", strings.Join(r.Results[i].cells(), "\t"))
	}
	return tw.Flush()
}

func (r *report) markdown(w io.Writer) error {
	heads := headings()
	var b strings.Builder
	fmt.Fprintf(&b, "\n**%s**\n\n| %s |\n|---|%s\n", r.title(), strings.Join(heads, " | "), strings.Repeat("---:|", len(heads)-1))
	for i := range r.Results {
		fmt.Fprintf(&b, "| %s |\n", strings.Join(r.Results[i].cells(), " | "))
	}
	_, err := io.WriteString(w, b.String())
	return err
}
