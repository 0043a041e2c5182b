package config

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/cardea-auth/cardea/internal/seal"
)

const (
	day         = 24 * time.Hour
	maxDuration = 100 * 365 * day
)

// parseDuration reads a Go duration ("1h30m"), whole days ("30d") or plain seconds
// ("3600", as GoTrue's settings are written). The result is between 0 and a century, so
// that no later sum can overflow.
func parseDuration(s string) (time.Duration, error) {
	bad := errors.New("not a duration: write 3600 (seconds), 90s, 15m, 1h30m or 30d")
	digits, unit := s, time.Second
	if d, ok := strings.CutSuffix(s, "d"); ok {
		digits, unit = d, day
	}
	if isDigits(digits) {
		n, err := strconv.ParseInt(digits, 10, 64)
		if err != nil || n > int64(maxDuration/unit) {
			return 0, errors.New("longer than a century")
		}
		return time.Duration(n) * unit, nil
	}
	d, err := time.ParseDuration(s)
	switch {
	case err != nil:
		return 0, bad
	case d < 0:
		return 0, errors.New("a duration can't be negative")
	case d > maxDuration:
		return 0, errors.New("longer than a century")
	}
	return d, nil
}

// formatDuration writes what parseDuration reads, without the zero units of
// [time.Duration.String].
func formatDuration(d time.Duration) string {
	if d > 0 && d%day == 0 {
		return strconv.FormatInt(int64(d/day), 10) + "d"
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

func isDigits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// parseBool reads the spellings that people use.
func parseBool(s string) (bool, error) {
	switch strings.ToLower(s) {
	case "true", "1", "yes", "on":
		return true, nil
	case "false", "0", "no", "off":
		return false, nil
	}
	return false, errors.New("neither true nor false")
}

// parseInt reads a whole number within limits.
func parseInt(s string, low, high int64) (int64, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0, errors.New("not a whole number")
	}
	if n < low || n > high {
		return 0, fmt.Errorf("must be from %d to %d", low, high)
	}
	return n, nil
}

// parseList reads comma-separated values; blanks around them and empty ones are dropped.
func parseList(s string) []string {
	var list []string
	for part := range strings.SplitSeq(s, ",") {
		if part = strings.TrimSpace(part); part != "" {
			list = append(list, part)
		}
	}
	return list
}

// parseCharacterSets reads GoTrue's PASSWORD_REQUIRED_CHARACTERS: sets separated by
// colons, where "\:" is a colon and "\\" a backslash.
func parseCharacterSets(s string) []string {
	var sets []string
	var set strings.Builder
	flush := func() {
		if set.Len() > 0 {
			sets = append(sets, set.String())
		}
		set.Reset()
	}
	escaped := false
	for _, r := range s {
		switch {
		case escaped:
			if r != ':' && r != '\\' { // a backslash before anything else is itself
				set.WriteByte('\\')
			}
			set.WriteRune(r)
			escaped = false
		case r == '\\':
			escaped = true
		case r == ':':
			flush()
		default:
			set.WriteRune(r)
		}
	}
	if escaped {
		set.WriteByte('\\')
	}
	flush()
	return sets
}

// formatCharacterSets writes what parseCharacterSets reads.
func formatCharacterSets(sets []string) string {
	quoted := make([]string, len(sets))
	for i, set := range sets {
		quoted[i] = strings.NewReplacer(`\`, `\\`, `:`, `\:`).Replace(set)
	}
	return strings.Join(quoted, ":")
}

// parsePrefixes reads networks; a bare address is a network of one.
func parsePrefixes(s string) ([]netip.Prefix, error) {
	var list []netip.Prefix
	for _, part := range parseList(s) {
		if addr, err := netip.ParseAddr(part); err == nil && addr.Zone() == "" {
			addr = addr.Unmap()
			list = append(list, netip.PrefixFrom(addr, addr.BitLen()))
			continue
		}
		p, err := netip.ParsePrefix(part)
		if err != nil {
			return nil, fmt.Errorf("%q is neither an address nor a network such as 10.0.0.0/8", part)
		}
		list = append(list, p.Masked())
	}
	return list, nil
}

// parseKey reads a key-encryption key; see [seal.ParseKey].
func parseKey(s string) (Secret, error) {
	key, err := seal.ParseKey(s)
	if err != nil {
		return nil, errors.New(strings.TrimPrefix(err.Error(), "seal: "))
	}
	return key, nil
}

// parseLevel reads a log level; GoTrue's spellings are accepted.
func parseLevel(s string) (slog.Level, error) {
	switch strings.ToLower(s) {
	case "trace", "debug":
		return slog.LevelDebug, nil
	case "info":
		return slog.LevelInfo, nil
	case "warn", "warning":
		return slog.LevelWarn, nil
	case "error", "fatal", "panic":
		return slog.LevelError, nil
	}
	return 0, errors.New("must be debug, info, warn or error")
}

// cleanText refuses what no setting may hold: invalid UTF-8 and control characters. They
// would break log lines, headers and URLs that are built from settings.
func cleanText(s string) error {
	if !utf8.ValidString(s) {
		return errors.New("is not valid UTF-8")
	}
	if strings.ContainsFunc(s, unicode.IsControl) {
		return errors.New("holds a control character")
	}
	return nil
}
