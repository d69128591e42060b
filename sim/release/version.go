package release

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/mod/semver"
)

// maxListed bounds the versions that an error lists.
const maxListed = 8

var (
	minorSyntax = regexp.MustCompile(`^v1\.(0|[1-9][0-9]{0,3})$`)
	exactSyntax = regexp.MustCompile(`^v1\.(0|[1-9][0-9]{0,3})\.(0|[1-9][0-9]{0,3})(-(alpha|beta|rc)\.[0-9]{1,3})?$`)
)

func isExact(version string) bool { return exactSyntax.MatchString(version) }

// resolve is the exact version that a version means: itself, or for a minor the newest patch in the cache, or else the
// newest that the download host names or, when that can't be reached, that the module can be had in.
func (s *Store) resolve(ctx context.Context, version string) (string, error) {
	if isExact(version) {
		return version, nil
	}
	if !minorSyntax.MatchString(version) {
		return "", &InputError{Reason: fmt.Sprintf("version %q is neither a minor, as v1.34, nor a release, as v1.34.4", version)}
	}
	cached, err := s.List()
	if err != nil {
		return "", err
	}
	for _, r := range cached {
		if semver.MajorMinor(r.Version) == version && semver.Prerelease(r.Version) == "" {
			return r.Version, nil
		}
	}
	patch, err := s.publishedPatch(ctx, version)
	if unreachable := (*unreachableError)(nil); errors.As(err, &unreachable) {
		return s.modulePatch(ctx, version)
	}
	return patch, err
}

// newestOfEach is the newest released version of each minor, newest first.
func newestOfEach(versions []string) []string {
	sorted := slices.Clone(versions)
	semver.Sort(sorted)
	slices.Reverse(sorted)
	var newest []string
	for _, v := range sorted {
		if !isExact(v) || semver.Prerelease(v) != "" {
			continue
		}
		if n := len(newest); n > 0 && semver.MajorMinor(newest[n-1]) == semver.MajorMinor(v) {
			continue
		}
		newest = append(newest, v)
	}
	return newest
}

// unknownVersion is the error for a version that a source does not have.
func unknownVersion(version, source string, available []string) error {
	newest := newestOfEach(available)
	if len(newest) > maxListed {
		newest = newest[:maxListed]
	}
	has := "nothing"
	if len(newest) > 0 {
		has = strings.Join(newest, ", ")
	}
	return &InputError{Reason: fmt.Sprintf("%s does not have %s; the newest of each minor that it has: %s", source, version, has)}
}
