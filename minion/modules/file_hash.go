//go:build unix

package modules

import (
	"bufio"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/gosalt/gosalt/internal/fileclient"
	"github.com/gosalt/gosalt/internal/host"
	"github.com/gosalt/gosalt/internal/lazyre"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/internal/textedit"
	"github.com/gosalt/gosalt/protocol/wire"
)

func init() {
	register("file.get_sum", fileGetSum)
	register("file.get_hash", fileGetHash)
	register("file.check_hash", fileCheckHash)
	register("file.get_source_sum", fileGetSourceSum)
	register("file.extract_hash", fileExtractHash)
	register("file.get_diff", fileGetDiff)
}

// sumTypes are the checksums of sources, with the length of their digits.
var sumTypes = []struct {
	name string
	len  int
}{{"sha512", 128}, {"sha384", 96}, {"sha256", 64}, {"sha224", 56}, {"sha1", 40}, {"md5", 32}}

func sumLen(name string) int {
	for _, t := range sumTypes {
		if t.name == name {
			return t.len
		}
	}
	return 0
}

func sumOfLen(n int) string {
	for _, t := range sumTypes {
		if t.len == n {
			return t.name
		}
	}
	return ""
}

// sumList is how Salt's messages name the types: "md5 (32), sha1 (40), …".
func sumList() string {
	var parts []string
	for i := len(sumTypes) - 1; i >= 0; i-- {
		parts = append(parts, fmt.Sprintf("%s (%d)", sumTypes[i].name, sumTypes[i].len))
	}
	return strings.Join(parts, ", ")
}

// hashFile is the checksum of a file as hexadecimal digits.
func hashFile(c *module.Call, path, form string) (string, error) {
	h := hashByName(form)
	if h == nil {
		return "", errors.New("Invalid hash type: " + form)
	}
	f, err := os.Open(c.Host.Path(path))
	if err != nil {
		return "", systemError(err, path)
	}
	defer f.Close()
	if _, err := io.Copy(h, f); err != nil {
		return "", systemError(err, path)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// hashByName is a hash by Python's name for it; nil for an unknown one.
func hashByName(name string) hash.Hash {
	if f, ok := hashFunctions[name]; ok {
		return f()
	}
	return nil
}

type fileGetSumArgs struct {
	Path string // A path.
	Form string `default:"sha256"` // md5, sha1, sha224, sha256, sha384, sha512, …
}

// fileGetSum returns the checksum of a file, "File not found" where there is none.
//
//	gosalt '*' file.get_sum /etc/passwd sha512
func fileGetSum(ctx context.Context, c *module.Call, a fileGetSumArgs) (string, error) {
	path := expandUser(c, a.Path)
	if !c.Host.IsFile(path) {
		return "File not found", nil
	}
	return hashFile(c, path, a.Form)
}

type fileGetHashArgs struct {
	Path      string // A path.
	Form      string `default:"sha256"` // md5, sha1, sha224, sha256, sha384, sha512, …
	ChunkSize int    `default:"65536"`  // Without effect.
}

// fileGetHash returns the checksum of a file.
//
//	gosalt '*' file.get_hash /etc/shadow
func fileGetHash(ctx context.Context, c *module.Call, a fileGetHashArgs) (string, error) {
	return hashFile(c, expandUser(c, a.Path), a.Form)
}

type fileCheckHashArgs struct {
	Path     string // A path.
	FileHash any    // The checksum, by itself or as type=checksum or type:checksum.
}

// fileCheckHash tells whether a file has a checksum.
//
//	gosalt '*' file.check_hash /etc/fstab sha1=b9d5d3bb7a7cff2a2d5c1e8a0cbf9f4c50a0eabc
func fileCheckHash(ctx context.Context, c *module.Call, a fileCheckHashArgs) (bool, error) {
	text, ok := a.FileHash.(string)
	if !ok {
		return false, module.Invalidf("hash must be a string")
	}
	for _, sep := range []string{":", "="} {
		if form, sum, ok := strings.Cut(text, sep); ok {
			got, err := hashFile(c, expandUser(c, a.Path), form)
			return err == nil && got == sum, err
		}
	}
	form := sumOfLen(utf8.RuneCountInString(text))
	if form == "" {
		return false, module.Invalidf("Hash %s (length: %d) could not be matched to a supported hash type. The supported hash types and lengths are: %s",
			text, utf8.RuneCountInString(text), sumList())
	}
	got, err := hashFile(c, expandUser(c, a.Path), form)
	return err == nil && got == text, err
}

type fileGetSourceSumArgs struct {
	FileName       string `default:""`     // The file that the source is for, to be looked for in a list of checksums.
	Source         string `default:""`     // The source, likewise.
	SourceHash     any    `default:"None"` // A checksum, type=checksum, or where a list of checksums is.
	SourceHashName any    `default:"None"` // The name to be looked for in that list.
	Saltenv        string `default:"base"` // Environment of salt:// addresses.
	VerifySSL      bool   `default:"True"` // Check the certificate of an https:// address.
}

// protocols are the schemes of addresses that can be fetched.
var protocols = []string{"salt", "file", "http", "https", "ftp", "swift", "s3"}

func urlScheme(s string) string {
	u, err := fileclient.ParseAddress(s)
	if err != nil {
		return ""
	}
	return u.Scheme
}

// fileGetSourceSum reads what a source_hash says: hash_type and hsum.
//
//	gosalt '*' file.get_source_sum /tmp/foo.tar.gz source=http://mydomain.tld/foo.tar.gz source_hash=499ae16dcae71eeb7c3a30c75ea7a1a6
func fileGetSourceSum(ctx context.Context, c *module.Call, a fileGetSourceSumArgs) (*wire.Map, error) {
	bad := func() error {
		return module.Failf("Source hash %s format is invalid. The supported formats are: 1) a hash, 2) an expression in the format <hash_type>=<hash>, or "+
			"3) either a path to a local file containing hashes, or a URI of a remote hash file. Supported protocols for remote hash files "+
			"are: %s. The hash may also not be of a valid length, the following are supported hash types and lengths: %s.",
			pytext.Str(a.SourceHash), strings.Join(protocols, ", "), sumList())
	}
	text, ok := a.SourceHash.(string)
	if !ok {
		return nil, bad()
	}
	file := ""
	if filepath.IsAbs(text) {
		file = text
	} else if scheme := urlScheme(text); scheme != "" {
		if !isProtocol(scheme) {
			return nil, bad()
		}
		var err error
		if file, err = cacheFile(ctx, c, text, a.Saltenv, ""); err != nil {
			return nil, err
		}
		if file == "" {
			return nil, module.Failf("Source hash file %s not found", text)
		}
	}
	if file != "" {
		sum, err := extractHash(c, file, "", a.FileName, a.Source, a.SourceHashName)
		if err != nil {
			return nil, err
		}
		if sum == nil {
			return nil, bad()
		}
		sum.Set("hsum", strings.ToLower(sum.Text("hsum")))
		return sum, nil
	}
	form, sum, typed := strings.Cut(text, "=")
	if typed {
		form, sum = strings.TrimSpace(form), strings.TrimSpace(sum)
	} else {
		sum, form = text, sumOfLen(len(text))
		if form == "" || strings.Trim(text, "0123456789abcdefABCDEF") != "" {
			return nil, bad()
		}
	}
	if sumLen(form) == 0 {
		var names []string
		for _, t := range sumTypes {
			names = append(names, t.name)
		}
		return nil, module.Failf("Invalid hash type '%s'. Supported hash types are: %s. Either remove the hash type and simply use '%s' as the "+
			"source_hash, or change the hash type to a supported type.", form, strings.Join(names, ", "), sum)
	}
	if right := sumOfLen(len(sum)); right == "" {
		return nil, bad()
	} else if right != form {
		return nil, module.Failf("Invalid length (%d) for hash type '%s'. Either remove the hash type and simply use '%s' as the source_hash, "+
			"or change the hash type to '%s'", len(sum), form, sum, right)
	}
	if !typed {
		return wire.NewMap("hsum", strings.ToLower(sum), "hash_type", form), nil
	}
	return wire.NewMap("hash_type", form, "hsum", strings.ToLower(sum)), nil
}

func isProtocol(scheme string) bool {
	for _, p := range protocols {
		if p == scheme {
			return true
		}
	}
	return false
}

type fileExtractHashArgs struct {
	HashFn         string // A path of a file with checksums.
	HashType       string `default:"sha256"` // Which are looked for; '' for any.
	FileName       any    `default:""`       // The name that a line is to have.
	Source         any    `default:""`       // Another one.
	SourceHashName any    `default:"None"`   // The name that is looked for first.
}

// fileExtractHash looks for a checksum in a file that lists some: the line of a name, else
// the first one.
//
//	gosalt '*' file.extract_hash /path/to/hash/file sha512 /etc/foo
func fileExtractHash(ctx context.Context, c *module.Call, a fileExtractHashArgs) (any, error) {
	sum, err := extractHash(c, a.HashFn, a.HashType, pytext.Str(a.FileName), pytext.Str(a.Source), a.SourceHashName)
	if err != nil || sum == nil {
		return nil, err
	}
	return sum, nil
}

var hexRun = lazyre.New(`(?i)[a-z0-9]+`)

// hashIn finds the first run of hexadecimal digits of a length in a line.
func hashIn(line string, low, high int) string {
	for _, run := range hexRun.FindAllString(line, -1) {
		if len(run) >= low && len(run) <= high && strings.Trim(run, "0123456789abcdefABCDEF") == "" {
			return run
		}
	}
	return ""
}

// extractHash is file.extract_hash; nil where nothing is found.
func extractHash(c *module.Call, file, form, name, source string, hashName any) (*wire.Map, error) {
	low, high := 32, 128
	if n := sumLen(form); n > 0 {
		low, high = n, n
	} else if form != "" {
		c.Log.Warn("unsupported hash_type: any is looked for", "hash_type", form)
	}
	f, err := os.Open(c.Host.Path(file))
	if err != nil {
		return nil, systemError(err, file)
	}
	defer f.Close()
	base := ""
	if source != "" {
		base = source
		if u, err := fileclient.ParseAddress(source); err == nil {
			base = u.Path
			if base == "" {
				base = u.Host
			}
		}
		base = base[strings.LastIndexByte(base, '/')+1:]
	}
	wanted := []struct {
		name, full, seps string
	}{{}, {name[strings.LastIndexByte(name, '/')+1:], name, `\/*`}, {base, source, `\/*`}}
	if module.Truth(hashName) {
		s := pytext.Str(hashName)
		wanted[0].name, wanted[0].full = s, s
	}
	var partial *wire.Map
	found := make([]*wire.Map, len(wanted))
	r := bufio.NewReader(io.LimitReader(f, 64<<20))
	for {
		line, rerr := r.ReadString('\n')
		if line == "" && rerr != nil {
			break
		}
		line = strings.TrimSpace(line)
		sum := hashIn(line, low, high)
		if sum == "" || sumOfLen(len(sum)) == "" {
			continue
		}
		m := wire.NewMap("hsum", sum, "hash_type", sumOfLen(len(sum)))
		if partial == nil {
			partial = m
		}
		for i, w := range wanted {
			if w.full != "" && found[i] == nil && lineNames(line, w.name, w.full, w.seps) {
				found[i] = m
			}
		}
	}
	for _, m := range found {
		if m != nil {
			return m, nil
		}
	}
	return partial, nil
}

// lineNames tells whether a line of checksums is that of a name: the name at its end, or
// at its beginning before a blank.
func lineNames(line, base, full, seps string) bool {
	if before, ok := strings.CutSuffix(line, base); ok {
		r, _ := utf8.DecodeLastRuneInString(before)
		return before != "" && (unicode.IsSpace(r) || strings.ContainsRune(seps, r))
	}
	after, ok := strings.CutPrefix(line, full)
	r, _ := utf8.DecodeRuneInString(after)
	return ok && after != "" && unicode.IsSpace(r)
}

type fileGetDiffArgs struct {
	File1           string // A path or an address.
	File2           string // Another.
	Saltenv         string `default:"base"`  // Environment of salt:// addresses.
	ShowFilenames   bool   `default:"True"`  // The diff says the names.
	ShowChanges     bool   `default:"True"`  // False hides the diff.
	Template        bool   `default:"False"` // Hide the diff if the option obfuscate_templates is set.
	SourceHashFile1 any    `default:"None"`  // Checksum of the first: it is not fetched if a copy with that is there.
	SourceHashFile2 any    `default:"None"`  // Checksum of the second.
}

// fileGetDiff returns the unified diff of two files, of which one can be on the master.
// Binary files are only told to differ.
//
//	gosalt '*' file.get_diff /home/fred/.vimrc salt://users/fred/.vimrc
func fileGetDiff(ctx context.Context, c *module.Call, a fileGetDiffArgs) (string, error) {
	var paths []string
	var missing []string
	for i, name := range []string{a.File1, a.File2} {
		sum := []any{a.SourceHashFile1, a.SourceHashFile2}[i]
		text, _ := sum.(string)
		if path, local := localSource(name); local {
			paths = append(paths, path)
			continue
		}
		path, err := cacheFile(ctx, c, name, a.Saltenv, text)
		switch {
		case err != nil:
			missing = append(missing, err.Error())
		case path == "":
			missing = append(missing, fmt.Sprintf("File %s not found", name))
		default:
			paths = append(paths, path)
		}
	}
	if len(missing) > 0 {
		return "", module.Failf("Failed to cache one or more files\n\nAdditional info follows:\n\n- %s", strings.Join(missing, "\n- "))
	}
	return diffFiles(c, paths[0], paths[1], a.ShowFilenames, a.ShowChanges, a.Template)
}

// diffFiles is file.get_diff of two files of this machine.
func diffFiles(c *module.Call, one, two string, names, show, template bool) (string, error) {
	texts := make([]string, 2)
	for i, p := range []string{one, two} {
		text, err := wholeText(c, p)
		if err != nil {
			var me *module.Error
			if errors.As(err, &me) {
				return "", err
			}
			_, serr := os.Stat(c.Host.Path(p))
			why := "Is a directory"
			if serr != nil {
				why = host.Strerror(serr)
			}
			return "", module.Failf("Failed to read %s: %s", p, why)
		}
		texts[i] = text
	}
	switch {
	case texts[0] == texts[1]:
		return "", nil
	case template && optionTrue(c, "obfuscate_templates"):
		return "<Obfuscated Template>", nil
	case !show:
		return "<show_changes=False>", nil
	}
	oldText, newText := textedit.IsText([]byte(texts[0])), textedit.IsText([]byte(texts[1]))
	switch {
	case !oldText && !newText:
		return "Replace binary file", nil
	case !oldText:
		return "Replace binary file with text file", nil
	case !newText:
		return "Replace text file with binary file", nil
	}
	lines := func(s string) []string { // of bytes: only "\n" ends one
		var out []string
		for l := range strings.Lines(s) {
			out = append(out, l)
		}
		return out
	}
	if !names {
		one, two = "", ""
	}
	return diffLines(lines(texts[0]), lines(texts[1]), one, two), nil
}

// optionTrue is config.option of a switch.
func optionTrue(c *module.Call, name string) bool {
	v, _ := c.Opts.Get(name)
	return module.Truth(v)
}
