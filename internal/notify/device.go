package notify

import "strings"

// Device says in a few known words what a User-Agent header claims to be. It takes no word
// of the header itself: whoever signs in writes it, and a sentence of theirs has no place
// in our mail.
func Device(userAgent string) string {
	browser, system := firstOf(userAgent, browsers()), firstOf(userAgent, systems())
	switch {
	case browser != "" && system != "":
		return browser + ", " + system
	case browser != "":
		return browser
	case system != "":
		return system
	}
	return "?"
}

type mark struct{ in, name string }

// browsers names them in the order in which they can be told apart: most claim to be Chrome
// and Safari too.
func browsers() []mark {
	return []mark{
		{"Edg/", "Microsoft Edge"}, {"EdgA/", "Microsoft Edge"}, {"EdgiOS/", "Microsoft Edge"},
		{"OPR/", "Opera"}, {"SamsungBrowser/", "Samsung Internet"}, {"Vivaldi/", "Vivaldi"},
		{"Firefox/", "Firefox"}, {"FxiOS/", "Firefox"}, {"CriOS/", "Chrome"}, {"Chrome/", "Chrome"},
		{"Version/", "Safari"}, {"okhttp/", "Android app"}, {"Dart/", "Flutter app"}, {"CFNetwork/", "Apple app"},
		{"curl/", "curl"}, {"node", "Node.js"}, {"Deno/", "Deno"}, {"Bun/", "Bun"}, {"python-", "Python"}, {"Go-http-client/", "Go"},
	}
}

func systems() []mark {
	return []mark{
		{"Windows", "Windows"}, {"iPhone", "iPhone"}, {"iPad", "iPad"}, {"Android", "Android"},
		{"CrOS", "ChromeOS"}, {"Macintosh", "macOS"}, {"Linux", "Linux"},
	}
}

func firstOf(s string, marks []mark) string {
	for _, m := range marks {
		if strings.Contains(s, m.in) {
			return m.name
		}
	}
	return ""
}
