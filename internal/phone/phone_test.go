package phone_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/phone"
)

// TestCanonical is the table of S2.24 and A1.2: region +91, one spelling for one number.
func TestCanonical(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, input, want string }{
		// A1.2
		{"A1.2 bare", "9876543210", "919876543210"},
		{"A1.2 country code without plus", "91 98765-43210", "919876543210"},
		{"A1.2 double zero", "00919876543210", "919876543210"},
		{"A1.2 double zero with spaces", "0091 98765 43210", "919876543210"},
		{"A1.2 parentheses", "(+91) 98765 43210", "919876543210"},
		{"A1.2 another country", "+1 9876543210", "19876543210"},
		{"A1.2 trunk prefix", "09876543210", ""},
		{"A1.2 letters", "98765abcde", ""},
		// S2.24
		{"S2.24 canonical", "+919876543210", "919876543210"},
		{"S2.24 canonical without plus", "919876543210", "919876543210"},
		{"S2.24 ten digits", "98765 43210", "919876543210"},
		{"S2.24 eleven digits", "19876543210", "19876543210"},
		{"S2.24 fifteen digits", "919876543210123", "919876543210123"}, // India has them
		{"S2.24 fifteen digits are too many for most", "449876543210123", ""},
		{"S2.24 sixteen digits", "9198765432101234", ""},
		{"S2.24 plus in front of ten digits", "+9876543210", ""}, // 98 is Iran, whose numbers are longer
		{"S2.24 zero behind plus", "+09876543210", ""},
		{"S2.24 one digit", "9", ""},
		{"empty", "", ""},
		{"only signs", "(+) - ", ""},
		{"only plus", "+", ""},
		{"only zeros", "0000000000", ""},
		{"two plus", "++919876543210", ""},
		{"plus inside", "91+9876543210", ""},
		{"plus at the end", "919876543210+", ""},
		{"plus and double zero", "+00919876543210", ""},
		{"triple zero", "000919876543210", ""},
		{"trunk prefix behind the country code", "+91 (0) 98765 43210", "919876543210"},
		{"too short for the country", "+91 98765", ""},
		{"bare and too short", "98765", ""},
		{"unknown country code", "+999 123456789", ""},
		{"vanity", "1-800-FLOWERS", ""},
		{"extension", "+919876543210 ext. 5", ""},
		{"extension by sign", "+919876543210;ext=5", ""},
		{"a link", "tel:+919876543210", ""},
		{"digits of another script", "९८७६५४३२१०", ""},
		{"full-width digits", "９８７６５４３２１０", ""},
		{"NUL", "9876543210\x00", ""},
		{"no UTF-8", "98765\xff43210", ""},
		{"line break", "+919876543210\n+14155550100", ""},
		{"dots", "98765.43210", ""},
		{"pasted spaces and dashes", "+91\u00a098765\u201143210", "919876543210"},
		{"long", strings.Repeat(" ", 70) + "9876543210", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for _, region := range []string{"IN", "+91", "91", "in"} {
				check(t, phone.Reader{Region: region}, c.input, c.want)
			}
			got, err := phone.Canonical(c.input, "+91")
			if got != c.want || (err == nil) != (c.want != "") {
				t.Errorf("Canonical(%q, +91) = %q, %v", c.input, got, err)
			}
		})
	}
}

func check(t *testing.T, r phone.Reader, input, want string) {
	t.Helper()
	got, err := r.Canonical(input)
	if got != want || (err == nil) != (want != "") {
		t.Errorf("%+v: %q gives %q, %v; want %q", r, input, got, err, want)
	}
	var e *auth.Error
	const message = "Invalid phone number: write it with its country code, as in +91 98765 43210" // without the input
	if err != nil && (!errors.As(err, &e) || e.Code != auth.CodeValidation || e.Message != message) {
		t.Errorf("%+v: %q: error %v", r, input, err)
	}
}

// TestRegions: other regions, and none.
func TestRegions(t *testing.T) {
	t.Parallel()
	home := func(region string) phone.Reader { return phone.Reader{Region: region} }
	trunk := func(region string) phone.Reader { return phone.Reader{Region: region, Trunk: true} }
	for _, c := range []struct {
		name        string
		reader      phone.Reader
		input, want string
	}{
		{"nowhere, bare", home(""), "9876543210", ""},
		{"nowhere, country code", home(""), "919876543210", "919876543210"},
		{"nowhere, plus", home(""), "+45 20 12 34 56", "4520123456"},
		{"nowhere, trunk prefix", trunk(""), "030123456", ""},
		{"eight digits in Denmark", home("DK"), "20 12 34 56", "4520123456"},
		{"six digits in India", home("IN"), "201234", ""},
		{"America, bare", home("+1"), "(415) 555-0100", "14155550100"},
		{"America, with the 1", home("US"), "1-415-555-0100", "14155550100"},
		{"America, without area code", home("US"), "555-0100", ""},
		{"Brazil", home("BR"), "+55 (11) 91234-5678", "5511912345678"},
		{"Germany, bare", home("DE"), "1512345678", "491512345678"},
		{"Germany, trunk prefix is refused", home("DE"), "0151 2345678", ""},
		{"Germany, trunk prefix is read", trunk("DE"), "0151 2345678", "491512345678"},
		{"Germany, abroad", trunk("DE"), "0033 1 23 45 67 89", "33123456789"},
		{"Britain, trunk prefix is read", trunk("+44"), "020 7946 0958", "442079460958"},
		{"Britain, both", home("GB"), "+44 (0)20 7946 0958", "442079460958"},
		{"Italy keeps its zero", home("IT"), "+39 06 6982 0000", "390669820000"},
		{"India with trunk prefix read", trunk("IN"), "09876543210", "919876543210"},
		{"only the trunk prefix", trunk("DE"), "0", ""},
		{"zero behind plus", trunk("DE"), "+0151 2345678", ""},
		{"no country's code", home("DE"), "+800 1234 5678", "80012345678"}, // toll-free everywhere
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			check(t, c.reader, c.input, c.want)
		})
	}
	for _, region := range []string{"XX", "ZZ", "India", "+0", "+999", "091", "+", "++91", "\x00", "I"} {
		r := phone.Reader{Region: region}
		if _, err := r.Canonical("+919876543210"); err == nil || r.Check() == nil {
			t.Errorf("region %q was taken", region)
		}
	}
	if err := (phone.Reader{Region: "IN"}).Check(); err != nil {
		t.Error(err)
	}
}

// TestSuffixKey is X14: ten digits at the end suggest somebody, within one calling code only.
func TestSuffixKey(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ number, want string }{
		{"919876543210", "91:9876543210"},
		{"19876543210", "1:9876543210"},
		{"4520123456", "45:20123456"},
		{"8613812345678", "86:3812345678"},
		{"", ""},
		{"+919876543210", ""}, // not canonical
		{"9876543210000", ""}, // not possible
		{"9109876543210", ""}, // canonical is without the 0
		{"91987654321x", ""},
		{"'; drop table", ""},
	} {
		if got := phone.SuffixKey(c.number); got != c.want {
			t.Errorf("SuffixKey(%q) = %q, want %q", c.number, got, c.want)
		}
	}
}

// FuzzCanonical: what comes out is E.164, has one spelling, and needs no second reading.
func FuzzCanonical(f *testing.F) {
	for _, seed := range []string{
		"9876543210", "91 98765-43210", "0091 98765 43210", "(+91) 98765 43210", "+1 9876543210", "09876543210", "abc", "+44 (0)20 7946 0958",
		"+39 06 6982 0000", "+54 9 11 1234 5678", "+52 1 55 1234 5678", "+55 0 15 11 91234-5678", "00", "+", "+800 1234 5678", "١٢٣", "+7 8 800 555 35 35",
	} {
		for _, region := range []string{"IN", "US", "DE", "", "+39", "AR", "MX", "BR", "RU"} {
			f.Add(seed, region, true)
			f.Add(seed, region, false)
		}
	}
	f.Fuzz(func(t *testing.T, input, region string, trunk bool) {
		r := phone.Reader{Region: region, Trunk: trunk}
		got, err := r.Canonical(input)
		if err != nil {
			if got != "" {
				t.Errorf("%q beside %v", got, err)
			}
			return
		}
		if normal, err := auth.NormalizePhone(got); err != nil || normal != got {
			t.Errorf("%q gives %q, which no store takes: %v", input, got, err)
		}
		for _, spelling := range []string{"+" + got, "00" + got, "(+" + got[:2] + ") " + got[2:]} {
			for _, other := range []phone.Reader{r, {}, {Region: "US", Trunk: true}} {
				if again, err := other.Canonical(spelling); err != nil || again != got {
					t.Errorf("%+v: %q gives %q, and %q gives %q, %v", other, input, got, spelling, again, err)
				}
			}
		}
		code, rest, ok := strings.Cut(phone.SuffixKey(got), ":")
		if !ok || !strings.HasPrefix(got, code) || !strings.HasSuffix(got, rest) || rest == "" || len(rest) > 10 {
			t.Errorf("%q has key %q:%q", got, code, rest)
		}
	})
}

func BenchmarkCanonical(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := phone.Canonical("(+91) 98765 43210", "IN"); err != nil {
			b.Fatal(err)
		}
	}
}
