package notify_test

import (
	"testing"

	"github.com/cardea-auth/cardea/internal/notify"
)

// BenchmarkLoadTemplates is part of every start.
func BenchmarkLoadTemplates(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := notify.LoadTemplates(notify.TemplatesConfig{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRender(b *testing.B) {
	templates, err := notify.LoadTemplates(notify.TemplatesConfig{})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := templates.Preview(notify.KindRecovery, "he", ""); err != nil {
			b.Fatal(err)
		}
	}
}
