package main

import (
	"fmt"
	"io"
	"os"
	"time"
)

// progress tells how far something has come: in one line that is written over on a terminal,
// and in a line every ten seconds otherwise, as logs want it.
type progress struct {
	w        io.Writer
	verb     string
	terminal bool
	begun    time.Time
	last     time.Time
	shown    bool
}

func (a *app) progress(verb string) *progress {
	now := time.Now()
	return &progress{w: a.stderr, verb: verb, terminal: isTerminal(a.stderr), begun: now, last: now}
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

func (p *progress) tell(read, done int64) {
	now := time.Now()
	every := 10 * time.Second
	if p.terminal {
		every = 200 * time.Millisecond
	}
	if now.Sub(p.last) < every {
		return
	}
	p.last = now
	rate := float64(done) / max(now.Sub(p.begun).Seconds(), 0.001)
	if p.terminal {
		p.shown = true
		fmt.Fprintf(p.w, "\r\x1b[K%d read, %d %s, %.0f/s", read, done, p.verb, rate)
		return
	}
	fmt.Fprintf(p.w, "%d read, %d %s, %.0f/s\n", read, done, p.verb, rate)
}

// done ends the line on a terminal.
func (p *progress) done() {
	if p.shown {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}
