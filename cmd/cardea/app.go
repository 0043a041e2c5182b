package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"strings"

	"github.com/cardea-auth/cardea/internal/config"
	"github.com/cardea-auth/cardea/internal/server"
)

// app is what every command gets.
type app struct {
	// eraseDue does what is due of deletions where this process is the server; nil: another is.
	eraseDue func(ctx context.Context) error

	ctx            context.Context
	env            []string
	stdin          io.Reader
	stdout, stderr io.Writer
}

// say writes a message for people.
func (a *app) say(format string, args ...any) { fmt.Fprintf(a.stderr, format+"\n", args...) }

// commonFlags are the settings that every command reads.
type commonFlags struct {
	Data      *string `help:"Folder of 'cardea dev' (CARDEA_DATA)." placeholder:"FOLDER"`
	Preset    *string `help:"Bundle of settings for one kind of application: a name, or the path of a YAML file (CARDEA_PRESET)." placeholder:"PRESET"`
	LogLevel  *string `help:"Least level that is logged (CARDEA_LOG_LEVEL)." placeholder:"LEVEL"`
	LogFormat *string `help:"json or text (CARDEA_LOG_FORMAT)." placeholder:"FORMAT"`
}

// listenFlags are the settings of a server.
type listenFlags struct {
	Listen    *string `help:"Address and port (CARDEA_LISTEN)." placeholder:"HOST:PORT"`
	PublicURL *string `help:"Address as clients see it (CARDEA_PUBLIC_URL)." name:"public-url" placeholder:"URL"`
}

func (f *commonFlags) flags() map[string]string {
	return given(map[string]*string{"data": f.Data, "preset": f.Preset, "log-level": f.LogLevel, "log-format": f.LogFormat})
}

func (f *listenFlags) flags() map[string]string {
	return given(map[string]*string{"listen": f.Listen, "public-url": f.PublicURL})
}

func given(flags map[string]*string) map[string]string {
	found := map[string]string{}
	for name, value := range flags {
		if value != nil {
			found[name] = *value
		}
	}
	return found
}

func merge(all ...map[string]string) map[string]string {
	merged := map[string]string{}
	for _, m := range all {
		for name, value := range m {
			merged[name] = value
		}
	}
	return merged
}

func (a *app) load(dev bool, flags map[string]string) (config.Config, config.Report, error) {
	return config.Load(config.Sources{Env: withoutRemote(a.env), Dev: dev, Flags: flags})
}

// isDev says which configuration a command beside the server means: that of `cardea dev`
// when no database is configured but the data folder has been used, or when only the data
// folder has the key; that of `cardea serve` otherwise.
func (a *app) isDev(flags map[string]string) bool {
	cfg, r, _ := a.load(false, flags) // its problems are those of the mode that is chosen
	if _, err := os.Stat(config.DevKeyPath(cfg.DataDir)); err != nil {
		return false
	}
	return !isSet(&r, "CARDEA_DATABASE_URL") || !isSet(&r, "CARDEA_ENCRYPTION_KEY") && !cfg.EncryptionKey.Set()
}

func isSet(r *config.Report, name string) bool {
	e, _ := r.Entry(name)
	return e.Set
}

// loadBeside loads the configuration of a command that works beside the server, or
// without one. It finds a development server that chose its own port, and takes its preset.
func (a *app) loadBeside(flags map[string]string) (config.Config, error) {
	dev := a.isDev(flags)
	cfg, r, err := a.load(dev, flags)
	if err != nil {
		return cfg, err
	}
	state, ok := readState(cfg.DataDir)
	if !dev || !ok || !state.running(a.ctx) {
		return cfg, nil
	}
	if state.Preset != "" && !isSet(&r, "CARDEA_PRESET") {
		flags = merge(flags, map[string]string{"preset": state.Preset})
	}
	if isSet(&r, "CARDEA_PUBLIC_URL") {
		cfg, _, err = a.load(true, flags)
		return cfg, err
	}
	return a.reload(true, flags, state.Listen)
}

// reload loads the configuration again once the real address is known.
func (a *app) reload(dev bool, flags map[string]string, listen string) (config.Config, error) {
	cfg, _, err := a.load(dev, merge(flags, map[string]string{"listen": listen}))
	return cfg, err
}

// open opens the server without listening, for a command of an operator. It creates and
// migrates nothing: that would surprise whoever only mistyped a path.
func (a *app) open(flags map[string]string) (*server.Server, config.Config, error) {
	cfg, err := a.loadBeside(flags)
	if err != nil {
		return nil, cfg, err
	}
	cfg.DB.MigrateOnStart = false
	if err := databaseExists(cfg); err != nil {
		return nil, cfg, err
	}
	srv, err := server.Open(a.ctx, cfg, server.Options{Log: logger(cfg, a.stderr), Version: versionOf().Version})
	return srv, cfg, err
}

// databaseExists refuses to make an empty SQLite database by looking at it.
func databaseExists(cfg config.Config) error {
	path, sqlite := cfg.SQLitePath()
	if !sqlite {
		return nil
	}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		if cfg.Dev {
			return fmt.Errorf("there is no database %s yet: run `cardea dev` first", path)
		}
		return fmt.Errorf("there is no database %s yet: run `cardea migrate` first, or look at DATABASE_URL", path)
	}
	return nil
}

func logger(cfg config.Config, w io.Writer) *slog.Logger {
	opt := &slog.HandlerOptions{Level: cfg.Log.Level}
	if cfg.Log.Format == "text" {
		return slog.New(slog.NewTextHandler(w, opt))
	}
	return slog.New(slog.NewJSONHandler(w, opt))
}

// listen opens the port. When the system chose it, the configuration is loaded again, so
// that addresses and the issuer are the real ones.
func (a *app) listen(cfg config.Config, flags map[string]string) (net.Listener, config.Config, error) {
	ln, err := (&net.ListenConfig{}).Listen(a.ctx, "tcp", cfg.Listen)
	if err != nil {
		return nil, cfg, fmt.Errorf("can't listen on %s: %w (stop what uses it, or choose another with --listen)", cfg.Listen, err)
	}
	if strings.HasSuffix(cfg.Listen, ":0") {
		if cfg, err = a.reload(cfg.Dev, flags, ln.Addr().String()); err != nil {
			return nil, cfg, errors.Join(err, ln.Close())
		}
	}
	return ln, cfg, nil
}
