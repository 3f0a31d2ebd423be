package pgvector

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/lanewise/lanewise/fault"
)

// SQLSTATEs that are told apart from their class.
const (
	undefinedTable   = "42P01"
	undefinedSchema  = "3F000"
	noPrivilege      = "42501"
	duplicateSchema  = "42P06"
	adminShutdown    = "57P01"
	crashShutdown    = "57P02"
	cannotConnectNow = "57P03"
)

// classify gives an error of PostgreSQL or of the connection its class. The text of
// such an error is kept and not the error itself: a dial that timed out says that it
// is context.DeadlineExceeded, and would look like the end of the caller's time.
func (s *Store) classify(ctx context.Context, op string, err error) error {
	switch {
	case err == nil:
		return nil
	case fault.Of(err) != "":
		return err // it names its field
	case ctx.Err() != nil:
		return fmt.Errorf("%s on %s: %w", op, s.address, ctx.Err())
	}
	e, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		s.pool.Reset() // other connections of the same server are likely to be broken as well
		return fault.New(fault.Unavailable, "%s on %s: %s", op, s.address, oneLine(err.Error()))
	}
	if e.Code == adminShutdown || e.Code == crashShutdown || e.Code == cannotConnectNow {
		s.pool.Reset()
	}
	return fault.New(classOf(e.Code), "%s on %s: %s (SQLSTATE %s)", op, s.address, oneLine(e.Message), e.Code)
}

// classOf reads a SQLSTATE: five characters, of which the first two are its class.
func classOf(code string) fault.Class {
	switch code {
	case undefinedTable, undefinedSchema:
		return fault.NotFound
	case noPrivilege:
		return fault.Refused
	}
	switch code[:min(2, len(code))] {
	case "28": // invalid authorization
		return fault.Refused
	case "53": // too many connections, disk or memory full
		return fault.Overloaded
	case "22", "54": // data, or a limit of the program
		return fault.Invalid
	default:
		return fault.Unavailable
	}
}

// isGone reports whether a table or the whole schema is not there.
func isGone(err error) bool {
	e, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (e.Code == undefinedTable || e.Code == undefinedSchema)
}

// oneLine joins the lines of a message, which have one for each address tried.
func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

func errNoCollection(name string) error {
	return fault.New(fault.NotFound, "there is no collection %q", name)
}
