package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of the times in /proc/<pid>/stat: USER_HZ is 100 on every
// architecture that Go supports on Linux.
const tick = 10 * time.Millisecond

// watcher reads the processor time of the server and of all processes of PostgreSQL.
// Both ids may be 0: then nothing is known. It works on Linux only.
type watcher struct {
	server     int
	postmaster int
}

// usage is processor time since the processes began.
type usage struct {
	server, database       time.Duration
	hasServer, hasDatabase bool
}

func (w watcher) read() (usage, error) {
	var u usage
	if w.server > 0 {
		s, err := readStat(w.server)
		if err != nil {
			return u, err
		}
		u.server, u.hasServer = s.own, true
	}
	if w.postmaster > 0 {
		total, err := clusterTime(w.postmaster)
		if err != nil {
			return u, err
		}
		u.database, u.hasDatabase = total, true
	}
	return u, nil
}

// clusterTime adds up the postmaster, its living children, and those that have ended:
// the postmaster collects their times, so nothing is lost when a backend goes.
func clusterTime(postmaster int) (time.Duration, error) {
	main, err := readStat(postmaster)
	if err != nil {
		return 0, err
	}
	total := main.own + main.children
	entries, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return 0, err
	}
	for _, entry := range entries {
		pid, err := strconv.Atoi(filepath.Base(entry))
		if err != nil {
			continue
		}
		s, err := readStat(pid)
		switch {
		case errors.Is(err, fs.ErrNotExist): // ended meanwhile
		case err != nil:
			return 0, err
		case s.parent == postmaster:
			total += s.own + s.children
		}
	}
	return total, nil
}

// stat is what we need of /proc/<pid>/stat (proc_pid_stat(5)).
type stat struct {
	parent   int
	own      time.Duration // utime + stime
	children time.Duration // cutime + cstime: of children that have ended
}

func readStat(pid int) (stat, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		if strings.Contains(err.Error(), "no such process") { // ended between open and read
			err = fs.ErrNotExist
		}
		return stat{}, fmt.Errorf("processor time of process %d: %w", pid, err)
	}
	return parseStat(string(text))
}

// parseStat reads the fields after the name, which may itself hold blanks and brackets.
func parseStat(text string) (stat, error) {
	end := strings.LastIndexByte(text, ')')
	fields := strings.Fields(text[end+1:])
	if end < 0 || len(fields) < 15 {
		return stat{}, errors.New("processor time: /proc is not as expected")
	}
	var n [5]int64
	for i, at := range []int{1, 11, 12, 13, 14} { // fields 4, 14, 15, 16, 17 of the manual page
		v, err := strconv.ParseInt(fields[at], 10, 64)
		if err != nil {
			return stat{}, fmt.Errorf("processor time: %w", err)
		}
		n[i] = v
	}
	return stat{parent: int(n[0]), own: time.Duration(n[1]+n[2]) * tick, children: time.Duration(n[3]+n[4]) * tick}, nil
}

// resident gives the resident memory of the server in MiB, 0 if it isn't known.
func (w watcher) resident() float64 {
	if w.server == 0 {
		return 0
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", w.server))
	if err != nil {
		return 0
	}
	for line := range strings.SplitSeq(string(text), "\n") {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, err := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 64)
			if err != nil {
				return 0
			}
			return kib / 1024
		}
	}
	return 0
}
