package notify

import (
	"encoding/json"
	"strings"
)

// Locales gives the languages of the embedded templates, the default first.
func Locales() []string { return []string{"en", "pt-BR", "es", "de", "he", "hi"} }

// direction of the script.
func direction(locale string) string {
	if locale == "he" {
		return "rtl"
	}
	return "ltr"
}

// MatchLocale finds the best of [Locales] for a wish such as "pt_PT", "de-AT" or
// "he-IL,he;q=0.9": its elements in order, each whole first and by language alone then. A
// wish that nothing fits gives fallback, and English when that does not fit either. The
// wish comes from user metadata; only what equals a known name gets out.
func MatchLocale(wish, fallback string) string {
	for _, list := range []string{wish, fallback} {
		if len(list) > 200 {
			continue
		}
		for tag := range strings.SplitSeq(list, ",") {
			tag, _, _ = strings.Cut(tag, ";")
			if l, ok := matchTag(tag); ok {
				return l
			}
		}
	}
	return Locales()[0]
}

func matchTag(tag string) (string, bool) {
	tag = strings.ToLower(strings.ReplaceAll(strings.TrimSpace(tag), "_", "-"))
	language, _, _ := strings.Cut(tag, "-")
	language, _, _ = strings.Cut(language, ".") // POSIX: de.UTF-8
	if language == "iw" {
		language = "he" // the code of Hebrew before 1989, which Java still uses
	}
	for _, l := range Locales() {
		base, _, _ := strings.Cut(l, "-")
		if strings.EqualFold(l, tag) || base == language {
			return l, true
		}
	}
	return "", false
}

// LocaleOf reads the wish for a language out of user metadata: locale, language or lang,
// the first that is text.
func LocaleOf(userMetadata json.RawMessage) string {
	var m map[string]json.RawMessage
	if json.Unmarshal(userMetadata, &m) != nil {
		return ""
	}
	for _, name := range []string{"locale", "language", "lang"} {
		var s string
		if json.Unmarshal(m[name], &s) == nil && s != "" {
			return s
		}
	}
	return ""
}
