package moving

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/cardea-auth/cardea/internal/auth"
)

// profileOf makes the profile; nil for none. What is for show only and can't be shown is left
// out, and counted.
func profileOf(r *Record, u *auth.User, d *Dropped) (*auth.Profile, error) {
	if !r.HasProfile && !r.Inactive {
		return nil, nil //nolint:nilnil // no profile is an answer
	}
	p := &auth.Profile{
		UserID: u.ID, FullName: cleanName(r.FullName), Preferences: r.Preferences, Notifications: r.Notifications, Privacy: r.Privacy,
		Flags: r.Flags, Extensions: r.Extensions, Active: !r.Inactive, UpdatedAt: u.UpdatedAt,
	}
	if t, err := time.Parse(time.DateOnly, r.BirthDate); err == nil && plausibleBirth(t) {
		p.BirthDate = r.BirthDate
	}
	if link, err := url.Parse(r.ImageURL); err == nil && len(r.ImageURL) <= maxURL && auth.CleanText(r.ImageURL) && link.User == nil &&
		(link.Scheme == "https" || link.Scheme == "http") && link.Hostname() != "" && !strings.ContainsAny(r.ImageURL, " \"<>\\^{|}`\r\n\t") {
		p.ImageURL = r.ImageURL
	}
	if len(r.Language) <= 35 && strings.Trim(r.Language, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-") == "" {
		p.Language = r.Language
	}
	if slices.Contains(auth.LastMethods(), r.LastMethod) {
		p.LastMethod, p.LastMethodAt = r.LastMethod, zeroOr(r.LastMethodAt)
	}
	for _, pair := range [][2]string{{r.FullName, p.FullName}, {r.BirthDate, p.BirthDate}, {r.ImageURL, p.ImageURL}, {r.Language, p.Language}} {
		if pair[0] != "" && pair[1] == "" {
			d.Profile++
		}
	}
	documents := []*json.RawMessage{&p.Preferences, &p.Notifications, &p.Privacy, &p.Flags}
	for name, raw := range p.Extensions {
		if !slices.Contains([]string{"agent", "physician", "staff"}, name) || !isObject(&raw) {
			return nil, failed(r.Line, r.ExternalID, CodeProfile, "an extension of the profile that can't be stored")
		}
	}
	for _, doc := range documents {
		if !isObject(doc) {
			return nil, failed(r.Line, r.ExternalID, CodeProfile, "settings of the profile that can't be stored")
		}
	}
	return p, nil
}

func plausibleBirth(t time.Time) bool { return t.Year() > 1850 && t.Year() < 2200 }

// cleanName takes out what a name has no use for and a page could stumble over.
func cleanName(s string) string {
	if !auth.CleanText(s) {
		return ""
	}
	s = strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == '<' || r == '>' {
			return -1
		}
		return r
	}, s))
	if utf8.RuneCountInString(s) > maxName {
		s = strings.TrimSpace(string([]rune(s)[:maxName]))
	}
	return s
}
