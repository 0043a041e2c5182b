package server

import (
	"fmt"
	"os"

	"github.com/cardea-auth/cardea/internal/consent"
	"github.com/cardea-auth/cardea/presets"
)

// openPurposes loads the catalogue of consents; without one nobody is asked for any.
func (s *Server) openPurposes() error {
	s.purposes = consent.Empty()
	if s.cfg.People.Consents == "" {
		return nil
	}
	name, doc, err := presets.ReadConsents(s.cfg.People.Consents, os.ReadFile)
	if err != nil {
		return fmt.Errorf("server: CARDEA_CONSENTS: %w", err)
	}
	if s.purposes, err = consent.Load(name, doc); err != nil {
		return fmt.Errorf("server: CARDEA_CONSENTS: %w", err)
	}
	return nil
}
