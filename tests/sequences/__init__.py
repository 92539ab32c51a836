"""Viewers, an origin and evictions by chance: whatever happens, nobody gets two versions of a frame in one.

A `Sequence` is a value: what the origin is like, what it does with each request (`Deed`), what viewers do.
It is played against a whole proxy on real sockets, and this must hold:

- The bytes of an answer are of one version of the frame, and so are those of all answers under one ETag.
- An answer has all that it announced, or ends with an error; and errors come only where the origin made one.
- In the end nothing is under way, all seats are back, and an honest origin is served as it is.

What nobody can find out is left out: a version of the same length whose markers fit, where nothing guards it
since the origin gives no strong validator or the profile trusts lengths (there versions differ in length);
and an origin that gives no validator and ignores If-Range.
"""
