package bucket

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/minio/minio-go/v7/pkg/s3utils"
)

// Address is the parsed URL of a bucket.
type Address struct {
	Bucket, Prefix string
	Host           string // of the service, with an optional port; "" for that of AWS
	Plain          bool   // HTTP without TLS
	Region         string
	PathStyle      bool // the bucket is in the path of requests, not in their host
	// Redirect means that clients of this program can connect to the service, so
	// that downloads may be redirected to it.
	Redirect bool
}

// form is shown by the errors of ParseURL.
const form = "s3://bucket/prefix?endpoint=https://host:port&region=name&path_style=true"

// ParseURL parses a URL of the form
//
//	s3://bucket[/prefix][?endpoint=URL][&region=NAME][&path_style=true][&redirect=true]
//
// Errors do not contain the URL, which may contain a secret by mistake.
func ParseURL(text string) (Address, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "s3" || u.Opaque != "" {
		return Address{}, errors.New("it is not a URL of the form " + form)
	}
	if u.User != nil {
		return Address{}, errors.New("it contains credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY instead")
	}
	if u.Fragment != "" || u.Port() != "" {
		return Address{}, errors.New("it is not a URL of the form " + form)
	}
	a := Address{Bucket: u.Host, Prefix: strings.Trim(u.Path, "/")}
	if err := s3utils.CheckValidBucketNameStrict(a.Bucket); err != nil {
		return Address{}, fmt.Errorf("%q is not the name of a bucket", a.Bucket)
	}
	if a.Prefix != "" && a.Prefix != path.Clean(a.Prefix) || strings.HasPrefix(a.Prefix, "..") {
		return Address{}, errors.New("its prefix has empty parts, or . or .. as a part")
	}
	return a, a.parameters(u.RawQuery)
}

// parameters parses the query of a URL.
func (a *Address) parameters(query string) error {
	values, err := url.ParseQuery(query)
	if err != nil {
		return errors.New("its parameters are not valid")
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		value := values.Get(name)
		if len(values[name]) > 1 {
			return fmt.Errorf("the parameter %s is given twice", name)
		}
		switch name {
		case "endpoint":
			err = a.endpoint(value)
		case "region":
			a.Region = value
		case "path_style":
			a.PathStyle, err = strconv.ParseBool(value)
		case "redirect":
			a.Redirect, err = strconv.ParseBool(value)
		default:
			return errors.New("it has a parameter other than endpoint, region, path_style and redirect; credentials are read from the environment")
		}
		if err != nil {
			return fmt.Errorf("the parameter %s is not valid", name)
		}
	}
	return nil
}

// endpoint parses the address of the service.
func (a *Address) endpoint(text string) error {
	if !strings.Contains(text, "://") {
		text = "https://" + text
	}
	u, err := url.Parse(text)
	if err != nil || u.User != nil || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Scheme != "http" && u.Scheme != "https" {
		return errors.New("not an address")
	}
	a.Host, a.Plain = u.Host, u.Scheme == "http"
	return nil
}
