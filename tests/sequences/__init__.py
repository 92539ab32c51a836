"""Viewers, an origin and evictions by chance: whatever happens, nobody gets two versions of a frame in one.

A `Sequence` is a value: what the origin is like, what it does with each request (`Deed`), what viewers do.
It is played against a whole proxy on real sockets, and this must hold:

- The bytes of an answer are of one version of the frame, and so are those of all answers under one ETag.
- An answer has all that it announced, or ends with an error; and errors come only where the origin made one.
- In the end nothing is under way, all seats are back, and an honest origin is served as it is.

Frames are HTJ2K, JPEG-LS, JPEG or plain octets; of the latter three, which tell nothing of their own length,
versions may agree in length and in their first bytes whatever the origin gives as a validator.

What nobody can find out is left out: HTJ2K of the same length whose markers fit, if nothing guards it since
the origin gives no strong validator or the profile trusts lengths (there versions differ in length); and
HTJ2K, or a Last-Modified, of an origin that gives no validator and ignores If-Range; and the cut body of
another form than HTJ2K, if nothing but the end of its connection ends it.
"""
