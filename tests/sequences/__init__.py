"""Random sequences of viewers, origin behaviour and evictions. No viewer may get bytes of two versions.

A `Sequence` is a value. It says how the origin is configured, how the origin treats each request (`Deed`) and
what the viewers do. Each one is played against a complete proxy on real sockets. These properties must hold:

- All bytes of a response belong to one version of the frame. So do all responses with the same ETag.
- A response has as many bytes as it announced, or ends with an error. Only faults of the origin cause errors.
- At the end nothing is in progress, all seats are free, and frames of a correct origin are served correctly.
  If the origin requires revalidation, they are the frames that it stores at that time.

Frames are HTJ2K, JPEG-LS, JPEG or plain octets. The last three do not contain their own length. Their
versions can agree in length and in their first bytes, whichever validator the origin gives.

The sequences leave out changes that no proxy can detect:

- HTJ2K versions of equal length with matching markers, if the origin gives no strong validator or the profile
  trusts lengths. In these sequences, the versions differ in length.
- HTJ2K, or a Last-Modified, from an origin that gives no validator and ignores If-Range.
- A truncated body that is not HTJ2K, if only the end of the connection marks its end.
"""
