package files

import (
	"context"
	"crypto/md5"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/singleflight"

	"github.com/gosalt/gosalt/internal/durable"
	"github.com/gosalt/gosalt/internal/fileserver"
	"github.com/gosalt/gosalt/protocol/wire"
)

// s3FS serves objects of S3 buckets: s3fs. A bucket is for one environment, or holds a
// directory for each. What is in the buckets is listed every s3.s3_cache_expire seconds;
// objects are kept on the disk by a name that is made of their ETag, so what is there is
// right. When S3 is down, what was listed and fetched last is served.
type s3FS struct {
	client *s3.Client
	envs   map[string][]string // s3.buckets by environment; nil where each bucket has all
	shared []string            // s3.buckets as a list
	dir    string
	expire time.Duration
	every  time.Duration
	sync   bool
	ignore *fileserver.Ignore
	log    *slog.Logger
	flight singleflight.Group

	listing sync.Mutex // one listing at a time

	mu    sync.Mutex // guards what follows
	known *s3Listing // nil: nothing is known yet
	asked time.Time  // the last listing, also one that failed
}

// s3Listing is what was in the buckets.
type s3Listing struct {
	Made time.Time
	Envs map[string][]s3Object // in the order of the buckets

	places map[string]map[string]int // of the first object with a path, by environment
}

// index finds objects by their paths.
func (l *s3Listing) index() {
	l.places = make(map[string]map[string]int, len(l.Envs))
	for env, objects := range l.Envs {
		m := make(map[string]int, len(objects))
		for i, o := range objects {
			if _, ok := m[o.Path]; !ok {
				m[o.Path] = i
			}
		}
		l.places[env] = m
	}
}

// s3Object is a file of an environment.
type s3Object struct {
	Path   string // below salt://; ends with a slash for a directory
	Bucket string
	Key    string
	ETag   string
	Size   int64
	Time   time.Time
}

const (
	maxS3Objects = 1_000_000
	s3ListTime   = 5 * time.Minute
	s3FetchTime  = time.Hour
	s3Lanes      = 4 // objects that are fetched at once
)

func newS3FS(c Config, ignore *fileserver.Ignore) (fileserver.Backend, error) {
	o := c.Opts()
	f := &s3FS{dir: filepath.Join(c.CacheDir, "s3cache"), every: c.FileserverInterval, ignore: ignore, log: c.Log, sync: true, expire: 30 * time.Second}
	if v, ok := o.Get("s3.s3_sync_on_update"); ok && v == false {
		f.sync = false
	}
	if n, ok := o.Get("s3.s3_cache_expire"); ok {
		if n, ok := n.(int64); ok && n >= 0 {
			f.expire = time.Duration(n) * time.Second
		}
	}
	switch v, _ := o.Get("s3.buckets"); b := v.(type) {
	case *wire.Map:
		f.envs = map[string][]string{}
		for env := range b.Strings() {
			f.envs[env] = textsOf(b, env)
		}
	case []any:
		f.shared = textsOf(o, "s3.buckets")
	case nil:
		return nil, errors.New("s3.buckets names no bucket")
	default:
		return nil, fmt.Errorf("s3.buckets: a list of buckets, or a map of environments with their buckets expected, not %s", wire.TypeName(v))
	}
	if len(f.envs)+len(f.shared) == 0 {
		return nil, errors.New("s3.buckets names no bucket")
	}
	var err error
	if f.client, err = s3Client(o); err != nil {
		return nil, err
	}
	if b, err := os.ReadFile(f.listFile()); err == nil {
		var l s3Listing
		if json.Unmarshal(b, &l) == nil && !l.Made.IsZero() {
			l.index()
			f.known = &l
		}
	}
	return f, nil
}

// s3Client makes a client by Salt's settings s3.*. Without keys those of the environment
// or of the machine's role count.
func s3Client(o *wire.Map) (*s3.Client, error) {
	text := func(name string) string { return o.Text("s3." + name) }
	region := text("location")
	if region == "" {
		region = "us-east-1"
	}
	client := awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) {
		t.ResponseHeaderTimeout = time.Minute
		if v, ok := o.Get("s3.verify_ssl"); ok && v == false {
			t.TLSClientConfig = &tls.Config{InsecureSkipVerify: true}
		}
	})
	load := []func(*awsconfig.LoadOptions) error{awsconfig.WithRegion(region), awsconfig.WithHTTPClient(client)}
	if id := text("keyid"); id != "" && id != "use-instance-role-credentials" {
		load = append(load, awsconfig.WithCredentialsProvider(credentials.NewStaticCredentialsProvider(id, text("key"), "")))
	}
	cfg, err := awsconfig.LoadDefaultConfig(context.Background(), load...)
	if err != nil {
		return nil, fmt.Errorf("settings of S3: %w", err)
	}
	return s3.NewFromConfig(cfg, func(so *s3.Options) {
		if host := text("service_url"); host != "" {
			scheme := "https://"
			if v, ok := o.Get("s3.https_enable"); ok && v == false {
				scheme = "http://"
			}
			so.BaseEndpoint = aws.String(scheme + host)
		}
		so.UsePathStyle = o.Bool("s3.path_style")
		so.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
	}), nil
}

// Name is "s3fs".
func (f *s3FS) Name() string { return "s3fs" }

// Every is fileserver_interval.
func (f *s3FS) Every() time.Duration { return f.every }

func (f *s3FS) listFile() string { return filepath.Join(f.dir, "buckets.json") }

// Update lists the buckets anew, and fetches what is new unless s3.s3_sync_on_update is
// off.
func (f *s3FS) Update(ctx context.Context, _ string) (changed bool, err error) {
	f.mu.Lock()
	before := f.known
	f.mu.Unlock()
	l, err := f.list(ctx)
	if err != nil {
		return false, err
	}
	changed = before == nil || !sameObjects(before, l)
	f.prune(l)
	if !f.sync {
		return changed, nil
	}
	var g errgroup.Group
	g.SetLimit(s3Lanes)
	for _, objects := range l.Envs {
		for _, o := range objects {
			if !strings.HasSuffix(o.Path, "/") && !f.ignore.Match(o.Path) {
				g.Go(func() error {
					_, err := f.fetch(ctx, o)
					return err
				})
			}
		}
	}
	return changed, g.Wait()
}

func sameObjects(a, b *s3Listing) bool {
	if len(a.Envs) != len(b.Envs) {
		return false
	}
	for env, objects := range a.Envs {
		if !slices.EqualFunc(objects, b.Envs[env], func(x, y s3Object) bool {
			return x.Path == y.Path && x.Bucket == y.Bucket && x.ETag == y.ETag && x.Size == y.Size
		}) {
			return false
		}
	}
	return true
}

// list lists all buckets. One that cannot be listed fails it, and nothing is forgotten.
func (f *s3FS) list(ctx context.Context) (*s3Listing, error) {
	f.listing.Lock()
	defer f.listing.Unlock()
	ctx, cancel := context.WithTimeout(ctx, s3ListTime)
	defer cancel()
	l, err := f.listBuckets(ctx)
	if err == nil {
		l.index()
	}
	f.mu.Lock()
	f.asked = time.Now()
	known := f.known
	if err == nil {
		f.known = l
	}
	f.mu.Unlock()
	if err != nil {
		since := "nothing was ever listed"
		if known != nil {
			since = "files as of " + known.Made.UTC().Format(time.RFC3339) + " are served on"
		}
		return nil, fmt.Errorf("%w; %s", err, since)
	}
	b, err := json.Marshal(l)
	if err == nil {
		if err = os.MkdirAll(f.dir, 0o700); err == nil {
			err = durable.WriteFile(f.listFile(), b, 0o600)
		}
	}
	if err != nil {
		f.log.Error("what S3 has cannot be written down for the next start", "error", err)
	}
	return l, nil
}

func (f *s3FS) listBuckets(ctx context.Context) (*s3Listing, error) {
	l := &s3Listing{Made: time.Now(), Envs: map[string][]s3Object{}}
	total := 0
	one := func(bucket string, each func(o s3Object)) error {
		pages := s3.NewListObjectsV2Paginator(f.client, &s3.ListObjectsV2Input{Bucket: &bucket})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				return fmt.Errorf("list the bucket %s: %w", bucket, err)
			}
			if total += len(page.Contents); total > maxS3Objects {
				return fmt.Errorf("the buckets have more than %d objects", maxS3Objects)
			}
			for _, c := range page.Contents {
				each(s3Object{Bucket: bucket, Key: aws.ToString(c.Key), ETag: strings.Trim(aws.ToString(c.ETag), `"`),
					Size: aws.ToInt64(c.Size), Time: aws.ToTime(c.LastModified)})
			}
		}
		return nil
	}
	add := func(env, p string, o s3Object) {
		if !filepath.IsLocal(strings.TrimSuffix(p, "/")) || strings.Contains(p, "//") {
			return // what no salt:// address can name
		}
		o.Path = p
		l.Envs[env] = append(l.Envs[env], o)
	}
	for env, buckets := range f.envs {
		l.Envs[env] = []s3Object{}
		for _, b := range buckets {
			if err := one(b, func(o s3Object) { add(env, o.Key, o) }); err != nil {
				return nil, err
			}
		}
	}
	for _, b := range f.shared {
		err := one(b, func(o s3Object) {
			env, p, ok := strings.Cut(o.Key, "/")
			if !ok || env == "" {
				return // beside the directories of environments
			}
			if l.Envs[env] == nil {
				l.Envs[env] = []s3Object{}
			}
			if p != "" {
				add(env, p, o)
			}
		})
		if err != nil {
			return nil, err
		}
	}
	return l, nil
}

// current is what the buckets have, listed anew when that is older than
// s3.s3_cache_expire.
func (f *s3FS) current(ctx context.Context) (*s3Listing, error) {
	f.mu.Lock()
	known, recent := f.known, time.Since(f.asked) < f.expire
	f.mu.Unlock()
	if recent && known != nil {
		return known, nil
	}
	v, err, _ := f.flight.Do("list", func() (any, error) { return f.list(context.WithoutCancel(ctx)) })
	if err == nil {
		return v.(*s3Listing), nil
	}
	if known == nil {
		return nil, err
	}
	f.log.Error("S3 cannot be listed", "error", err)
	return known, nil
}

// Envs are the environments.
func (f *s3FS) Envs(ctx context.Context) ([]string, error) {
	l, err := f.current(ctx)
	if err != nil {
		return nil, err
	}
	var out []string
	for env := range l.Envs {
		out = append(out, env)
	}
	slices.Sort(out)
	return out, nil
}

// Tree lists an environment.
func (f *s3FS) Tree(ctx context.Context, env string) (*fileserver.Tree, error) {
	l, err := f.current(ctx)
	if err != nil {
		return nil, err
	}
	t := &fileserver.Tree{Links: map[string]string{}}
	dirs := map[string]bool{}
	for _, o := range l.Envs[env] {
		name, isDir := strings.CutSuffix(o.Path, "/")
		if isDir {
			dirs[name] = true
		} else if !f.ignore.Match(name) {
			t.Files = append(t.Files, name)
		}
		for d := path.Dir(name); d != "." && !dirs[d]; d = path.Dir(d) {
			dirs[d] = true
		}
	}
	for d := range dirs {
		t.Dirs = append(t.Dirs, d)
	}
	slices.Sort(t.Files)
	slices.Sort(t.Dirs)
	t.Files = slices.Compact(t.Files)
	return t, nil
}

// Find finds a file in the first bucket that has it, and fetches it unless it is there.
func (f *s3FS) Find(ctx context.Context, env, p string, _ int) (*fileserver.File, error) {
	for range 2 {
		l, err := f.current(ctx)
		if err != nil {
			return nil, err
		}
		i, ok := l.places[env][p]
		if !ok || f.ignore.Match(p) {
			return nil, fileserver.ErrNotFound
		}
		name, err := f.fetch(ctx, l.Envs[env][i])
		if errors.Is(err, errS3Changed) { // since it was listed
			f.mu.Lock()
			f.asked = time.Time{}
			f.mu.Unlock()
			continue
		}
		if err != nil {
			return nil, err
		}
		found, err := fileserver.StatPath(name, p)
		if err != nil {
			return nil, err
		}
		found.Stat[0] = 0o100644
		return found, nil
	}
	return nil, fileserver.ErrNotFound
}

// file is where an object is kept.
func (f *s3FS) file(o s3Object) string {
	sum := sha256.Sum256([]byte(strings.Join([]string{o.Bucket, o.Key, o.ETag, fmt.Sprint(o.Size), o.Time.UTC().String()}, "\x00")))
	name := hex.EncodeToString(sum[:])
	return filepath.Join(f.dir, "objects", name[:2], name[2:])
}

// errS3Changed is the error of an object that is not as it was listed.
var errS3Changed = errors.New("the object has changed since the bucket was listed")

// fetch fetches an object, unless it is there, and returns where it is.
func (f *s3FS) fetch(ctx context.Context, o s3Object) (string, error) {
	name := f.file(o)
	if fi, err := os.Stat(name); err == nil && fi.Size() == o.Size {
		return name, nil
	}
	_, err, _ := f.flight.Do(name, func() (any, error) {
		return nil, f.download(context.WithoutCancel(ctx), o, name)
	})
	if err != nil {
		return "", fmt.Errorf("fetch %s of the bucket %s: %w", o.Key, o.Bucket, err)
	}
	return name, nil
}

func (f *s3FS) download(ctx context.Context, o s3Object, name string) error {
	ctx, cancel := context.WithTimeout(ctx, s3FetchTime)
	defer cancel()
	got, err := f.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &o.Bucket, Key: &o.Key})
	if err != nil {
		var missing interface{ ErrorCode() string }
		if errors.As(err, &missing) && missing.ErrorCode() == "NoSuchKey" {
			return errS3Changed
		}
		return err
	}
	defer got.Body.Close()
	if tag := strings.Trim(aws.ToString(got.ETag), `"`); tag != o.ETag {
		return errS3Changed
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(name), ".tmp-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	defer tmp.Close()
	sum := md5.New()
	n, err := io.Copy(io.MultiWriter(tmp, sum), io.LimitReader(got.Body, o.Size+1))
	if err != nil {
		return err
	}
	if n != o.Size {
		return fmt.Errorf("%d bytes came, and %d are expected", n, o.Size)
	}
	// The ETag is the MD5 of an object that was put as a whole and without KMS.
	if got.SSEKMSKeyId == nil && got.SSECustomerAlgorithm == nil && len(o.ETag) == 2*md5.Size && hex.EncodeToString(sum.Sum(nil)) != o.ETag {
		return errors.New("what came is not what its ETag says")
	}
	if err := tmp.Close(); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), name)
}

// prune removes what is kept of objects that are no longer listed. What is read at the
// moment stays open.
func (f *s3FS) prune(l *s3Listing) {
	keep := map[string]bool{}
	for _, objects := range l.Envs {
		for _, o := range objects {
			keep[f.file(o)] = true
		}
	}
	old := time.Now().Add(-time.Hour) // what was found a moment ago may be asked for piece after piece
	_ = filepath.WalkDir(filepath.Join(f.dir, "objects"), func(name string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || keep[name] {
			return nil
		}
		if fi, err := d.Info(); err == nil && fi.ModTime().Before(old) {
			_ = os.Remove(name)
		}
		return nil
	})
}

// Forget lists the buckets anew when they are asked for next.
func (f *s3FS) Forget([]string) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = time.Time{}
	return nil
}

// Clear removes all that is kept on the disk.
func (f *s3FS) Clear() error {
	f.mu.Lock()
	f.asked = time.Time{}
	f.mu.Unlock()
	return os.RemoveAll(f.dir)
}
