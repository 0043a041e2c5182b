package config

import (
	"log/slog"
	"strings"
	"time"
)

func databaseSettings() []Setting {
	const group = "Database"
	return []Setting{
		{Name: "CARDEA_DB_MAX_CONNS", Aliases: []string{"GOTRUE_DB_MAX_POOL_SIZE"}, Group: group, Default: "0",
			Help:  "Connections to PostgreSQL, at most. 0: four for each core, unless the URL has pool_max_conns.",
			field: intField(func(c *Config) *int32 { return &c.DB.MaxConns }, 0, 10_000)},
		{Name: "CARDEA_SQLITE_SYNC", Group: group, Default: "FULL", DevDefault: "NORMAL",
			Help:  "SQLite's `PRAGMA synchronous`. With NORMAL the last answers before a power cut may be forgotten: a session that was ended could live again.",
			field: choiceField(func(c *Config) *string { return &c.DB.SQLiteSync }, "NORMAL", "FULL", "EXTRA")},
		{Name: "CARDEA_MIGRATE_ON_START", Flag: "migrate", Group: group, Default: "false", DevDefault: "true",
			Help:  "Bring the database's schema up to date at start. Otherwise `cardea migrate` does it.",
			field: boolField(func(c *Config) *bool { return &c.DB.MigrateOnStart })},
	}
}

func httpSettings() []Setting {
	const group = "HTTP"
	const low, high = time.Second, time.Hour
	return []Setting{
		{Name: "CARDEA_HTTP_READ_HEADER_TIMEOUT", Group: group, Default: "5s", Help: "For the headers of a request.",
			field: durationField(func(c *Config) *time.Duration { return &c.HTTP.ReadHeaderTimeout }, low, high)},
		{Name: "CARDEA_HTTP_READ_TIMEOUT", Group: group, Default: "15s", Help: "For a whole request with its body.",
			field: durationField(func(c *Config) *time.Duration { return &c.HTTP.ReadTimeout }, low, high)},
		{Name: "CARDEA_HTTP_WRITE_TIMEOUT", Group: group, Default: "30s", Help: "From the headers of a request to the end of its answer.",
			field: durationField(func(c *Config) *time.Duration { return &c.HTTP.WriteTimeout }, low, high)},
		{Name: "CARDEA_HTTP_IDLE_TIMEOUT", Group: group, Default: "2m", Help: "Between two requests of one connection.",
			field: durationField(func(c *Config) *time.Duration { return &c.HTTP.IdleTimeout }, low, high)},
		{Name: "CARDEA_HTTP_REQUEST_TIMEOUT", Aliases: []string{"GOTRUE_API_MAX_REQUEST_DURATION"}, Group: group, Default: "10s", Help: "For the work of one request; then 504.",
			field: durationField(func(c *Config) *time.Duration { return &c.HTTP.RequestTimeout }, low, high)},
		{Name: "CARDEA_HTTP_SHUTDOWN_TIMEOUT", Group: group, Default: "25s", Help: "For requests in flight when the server is told to stop.",
			field: durationField(func(c *Config) *time.Duration { return &c.HTTP.ShutdownTimeout }, low, high)},
		{Name: "CARDEA_METRICS_LISTEN", Group: group,
			Help:  "Address and port of `GET /metrics` (Prometheus). Without one there are none. It asks nobody who he is: keep it inside.",
			field: makeField("host:port", func(c *Config) *string { return &c.HTTP.MetricsListen }, parseListen, same)},
		{Name: "CARDEA_HTTP_MAX_BODY", Group: group, Default: "1048576", Help: "Bytes of a request body, at most; then 413.",
			field: intField(func(c *Config) *int64 { return &c.HTTP.MaxBody }, 1<<10, 16<<20)},
	}
}

func limitSettings() []Setting {
	const group = "Rate limits"
	const high = 1_000_000_000
	return []Setting{
		{Name: "CARDEA_RATE_LIMIT_ENABLED", Group: group, Default: "true",
			Help:  "Limit what one address, and one account, may try.",
			field: boolField(func(c *Config) *bool { return &c.RateLimit.Enabled })},
		{Name: "CARDEA_RATE_LIMIT_TOKEN_PER_IP", Aliases: []string{"GOTRUE_RATE_LIMIT_TOKEN_REFRESH"}, Group: group, Default: "1800",
			Help:  "Sign-ins and refreshes of one address in 5 minutes. A whole clinic may stand behind one address; single accounts are protected by the next limit.",
			field: intField(func(c *Config) *int { return &c.RateLimit.TokenPerIP }, 1, high)},
		{Name: "CARDEA_RATE_LIMIT_FAILURES_PER_ACCOUNT", Group: group, Default: "10",
			Help:  "Wrong passwords for one account in 5 minutes, from wherever they come.",
			field: intField(func(c *Config) *int { return &c.RateLimit.FailuresPerAccount }, 1, high)},
		{Name: "CARDEA_RATE_LIMIT_SIGNUP_PER_IP", Aliases: []string{"GOTRUE_RATE_LIMIT_OTP"}, Group: group, Default: "30", DevDefault: "3000",
			Help:  "Sign-ups of one address in 5 minutes.",
			field: intField(func(c *Config) *int { return &c.RateLimit.SignupPerIP }, 1, high)},
		{Name: "CARDEA_RATE_LIMIT_ANONYMOUS_PER_IP", Aliases: []string{"GOTRUE_RATE_LIMIT_ANONYMOUS_USERS"}, Group: group, Default: "30", DevDefault: "3000",
			Help:  "Anonymous sign-ups of one address in 1 hour.",
			field: intField(func(c *Config) *int { return &c.RateLimit.AnonymousPerIP }, 1, high)},
		{Name: "CARDEA_RATE_LIMIT_MIRROR_PER_IP", Group: group, Default: "0",
			Help:  "Requests of one address to /api/v1 in 1 minute, whatever they ask; 0: any number.",
			field: intField(func(c *Config) *int { return &c.RateLimit.MirrorPerIP }, 0, high)},
	}
}

func logSettings() []Setting {
	const group = "Log"
	return []Setting{
		{Name: "CARDEA_LOG_LEVEL", Aliases: []string{"GOTRUE_LOG_LEVEL", "LOG_LEVEL"}, Flag: "log-level", Group: group, Default: "info",
			Help: "Least level that is logged.",
			field: makeField("debug, info, warn, error", func(c *Config) *slog.Level { return &c.Log.Level }, parseLevel,
				func(l slog.Level) string { return strings.ToLower(l.String()) })},
		{Name: "CARDEA_LOG_FORMAT", Flag: "log-format", Group: group, Default: "json", DevDefault: "text",
			Help:  "Form of the log, which goes to standard error.",
			field: choiceField(func(c *Config) *string { return &c.Log.Format }, "json", "text")},
	}
}
