package milvus

import (
	"context"
	"fmt"
	"strings"

	"github.com/milvus-io/milvus-proto/go-api/v2/commonpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/lanewise/lanewise/fault"
)

// judge turns the outcome of a call into an error of a class, or nil.
func (s *Store) judge(ctx context.Context, op string, st *commonpb.Status, err error) error {
	switch {
	case err != nil && ctx.Err() != nil:
		return s.ended(op, ctx.Err())
	case err != nil:
		return s.broken(op, err)
	case st == nil:
		return s.unavailable(op, "the answer has no status")
	case st.GetErrorCode() == commonpb.ErrorCode_Success && st.GetCode() == 0: //nolint:staticcheck // servers before 2.3 know this one only
		return nil
	}
	class := classOf(st)
	return fault.New(class, "%s on %s: %s", op, s.cfg.Address, reason(st))
}

func reason(st *commonpb.Status) string {
	text := st.GetReason()
	if text == "" {
		text = "no reason given"
	}
	return fmt.Sprintf("%s (code %d)", text, st.GetCode())
}

// broken judges an error of the connection or of the server's gRPC layer. Its text is
// kept and not the error: a status that says DeadlineExceeded is not the end of the
// caller's time.
func (s *Store) broken(op string, err error) error {
	class := fault.Unavailable
	text := status.Convert(err).Message()
	switch status.Code(err) { //nolint:exhaustive // everything else is a server in trouble
	case codes.Unauthenticated, codes.PermissionDenied:
		class = fault.Refused
	case codes.InvalidArgument:
		class = fault.Invalid
	case codes.ResourceExhausted:
		class = fault.Overloaded
		if strings.Contains(text, "larger than max") {
			class = fault.Invalid
		}
	}
	return fault.New(class, "%s on %s: %s", op, s.cfg.Address, text)
}

func (s *Store) unavailable(op, why string) error {
	return fault.New(fault.Unavailable, "%s on %s: %s", op, s.cfg.Address, why)
}

// ended is the end of the caller's context.
func (s *Store) ended(op string, err error) error {
	return fmt.Errorf("%s on %s: %w", op, s.cfg.Address, err)
}

// The server's own codes, as of Milvus 2.3.
const (
	codeDiskFull          = 7
	codeRateLimit         = 8
	codeForceDeny         = 9
	codeNoCollection      = 100
	codeNotLoaded         = 101
	codeNoDatabase        = 800
	codeParameterInvalid  = 1100
	codeParameterMissing  = 1101
	codeNotAuthenticated  = 1400
	codeNotPermitted      = 1401
	codeNoField           = 1700
	codeInvalidField      = 1701
	codeRequestLimit      = 4
	codeUnexpected        = 65535
	codeUnexpectedInProxy = 1
)

// classOf reads the code, then, where that says nothing, the older code and the text.
func classOf(st *commonpb.Status) fault.Class {
	switch st.GetCode() {
	case codeNoCollection, codeNoDatabase:
		return fault.NotFound
	case codeRateLimit, codeForceDeny, codeRequestLimit, codeDiskFull:
		return fault.Overloaded
	case codeParameterInvalid, codeParameterMissing, codeNoField, codeInvalidField:
		return fault.Invalid
	case codeNotAuthenticated, codeNotPermitted:
		return fault.Refused
	case 0, codeUnexpected, codeUnexpectedInProxy:
		return classOfOld(st)
	default:
		return fault.Unavailable
	}
}

func classOfOld(st *commonpb.Status) fault.Class {
	switch st.GetErrorCode() { //nolint:exhaustive,staticcheck // servers before 2.3 know this one only
	case commonpb.ErrorCode_CollectionNotExists, commonpb.ErrorCode_CollectionNameNotFound:
		return fault.NotFound
	case commonpb.ErrorCode_RateLimit, commonpb.ErrorCode_ForceDeny, commonpb.ErrorCode_MemoryQuotaExhausted,
		commonpb.ErrorCode_DiskQuotaExhausted:
		return fault.Overloaded
	case commonpb.ErrorCode_IllegalArgument, commonpb.ErrorCode_IllegalDimension, commonpb.ErrorCode_IllegalTOPK,
		commonpb.ErrorCode_IllegalRowRecord, commonpb.ErrorCode_IllegalCollectionName, commonpb.ErrorCode_IllegalMetricType:
		return fault.Invalid
	case commonpb.ErrorCode_PermissionDenied:
		return fault.Refused
	default:
		return classOfText(strings.ToLower(st.GetReason()))
	}
}

// classOfText is for what servers report as an unexpected error.
func classOfText(text string) fault.Class {
	for _, sign := range []struct {
		class fault.Class
		parts []string
	}{
		{fault.NotFound, []string{"collection not found", "can't find collection", "collection not exist", "database not found", "database:"}},
		{fault.Overloaded, []string{"rate limit", "quota exceeded", "too many requests", "request limit exceeded"}},
		{fault.Refused, []string{"auth check failure", "permission deny", "not authenticated", "unauthenticated"}},
		{fault.Unavailable, []string{"not loaded", "not fully loaded", "not ready", "unavailable", "not available"}},
		{fault.Invalid, []string{"cannot parse", "failed to create query plan", "exceeds the max", "exceeds max length",
			"should be in range", "dimension", "dim(", "invalid parameter", "out of range"}},
	} {
		for _, part := range sign.parts {
			if strings.Contains(text, part) {
				return sign.class
			}
		}
	}
	return fault.Unavailable
}
