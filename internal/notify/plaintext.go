package notify

import (
	"html"
	"regexp"
	"strings"
)

var (
	invisible = regexp.MustCompile(`(?is)<(script|style|head|title)\b.*?</(script|style|head|title)\s*>|<!--.*?-->`)
	anchor    = regexp.MustCompile(`(?is)<a\b[^>]*?\bhref\s*=\s*("[^"]*"|'[^']*')[^>]*>(.*?)</a\s*>`)
	blockEnd  = regexp.MustCompile(`(?i)<br\s*/?>|</(p|div|h[1-6]|tr|li|ul|ol|table|blockquote)\s*>`)
	anyTag    = regexp.MustCompile(`(?s)<[^>]*>`)
	blanks    = regexp.MustCompile(`[ \t\r\f\x{a0}]+`)
	manyLines = regexp.MustCompile(`\n{3,}`)
)

// plainText says in plain text what a page of the operator's says, for readers without
// HTML. It knows mails, not the web: the source is a template that html/template has
// escaped, so every "<" begins a tag.
func plainText(page string) string {
	page = invisible.ReplaceAllString(page, "")
	page = anchor.ReplaceAllStringFunc(page, func(a string) string {
		m := anchor.FindStringSubmatch(a)
		href := strings.Trim(m[1], `"'`)
		label := strings.TrimSpace(anyTag.ReplaceAllString(m[2], ""))
		if label == "" || label == href {
			return href
		}
		return label + ": " + href
	})
	page = strings.Join(strings.Fields(page), " ")
	page = blockEnd.ReplaceAllString(page, "\n")
	page = html.UnescapeString(anyTag.ReplaceAllString(page, ""))
	lines := strings.Split(blanks.ReplaceAllString(page, " "), "\n")
	for i := range lines {
		lines[i] = strings.TrimSpace(lines[i])
	}
	return strings.TrimSpace(manyLines.ReplaceAllString(strings.Join(lines, "\n"), "\n\n")) + "\n"
}
