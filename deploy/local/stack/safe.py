"""
Directories and files by descriptor: nothing is followed through a link, and
nothing that somebody else made is taken over.

`make up` may run as root, and some of what it uses lies where others may
write: /tmp, /var/tmp, the directories of the users it starts processes as.
"""
import contextlib
import errno
import os
import pwd
import shutil
import stat

from .ui import StepFailed


def name_of(uid):
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def _owner_of(path):
    """Of what is there, or of the directory that nothing may be made in."""
    try:
        return name_of(os.lstat(path).st_uid)
    except OSError:
        return name_of(os.lstat(path.parent).st_uid)


def _refuse(path, what):
    remove = f"rm -r {path}" if os.geteuid() == 0 else f"rm -r {path} (as root, if you may not)"
    raise StepFailed(f"{path} {what}, so `make up` did not make it and takes nothing from it",
                     f"look at what it is; if nobody needs it: {remove}")


def _open_dir(name, path, dir_fd=None):
    try:
        return os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=dir_fd)
    except OSError as e:
        if e.errno in (errno.ELOOP, errno.ENOTDIR):
            _refuse(path, "is not a directory" if not os.path.islink(path) else "is a link")
        if e.errno == errno.EACCES:
            _refuse(path, f"belongs to {_owner_of(path)} and is closed to you")
        raise


def check_dir(path, owners):
    """Refuses a directory that is a link, of somebody else, or that others may write to."""
    fd = _open_dir(path, path)
    try:
        _check(fd, path, owners)
    finally:
        os.close(fd)


def _check(fd, path, owners):
    found = os.fstat(fd)
    if found.st_uid not in owners:
        _refuse(path, f"belongs to {name_of(found.st_uid)}")
    if found.st_mode & 0o022:
        _refuse(path, f"may be written to by others (mode {stat.S_IMODE(found.st_mode):04o})")


def make_dir(path, uid, gid, mode, owners):
    """
    Makes the directory, or takes one that an owner of ours has and nobody else
    may write to; either way it is uid's afterwards, with that mode.
    """
    parent = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(FileExistsError):
            os.mkdir(path.name, 0o700, dir_fd=parent)
        fd = _open_dir(path.name, path, parent)
    finally:
        os.close(parent)
    try:
        _check(fd, path, owners)
        os.fchmod(fd, mode)
        if os.geteuid() == 0:
            os.fchown(fd, uid, gid)
    finally:
        os.close(fd)


def write(path, data, uid, gid, mode):
    """Whole or not at all, in the place of whatever stood there."""
    temp = path.name + ".tmp"
    parent = _open_dir(path.parent, path.parent)
    try:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temp, dir_fd=parent)
        fd = os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=parent)
        with os.fdopen(fd, "wb") as f:
            f.write(data)
            f.flush()
            os.fchmod(fd, mode)
            if os.geteuid() == 0:
                os.fchown(fd, uid, gid)
        os.rename(temp, path.name, src_dir_fd=parent, dst_dir_fd=parent)
    finally:
        os.close(parent)


def _open_file(path, flags, mode=0o600):
    """A regular file of ours with one name; never through a link."""
    try:
        fd = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, mode)
    except OSError as e:
        if e.errno == errno.ELOOP:
            _refuse(path, "is a link")
        if e.errno == errno.EACCES:
            _refuse(path, f"is closed to you: it belongs to {_owner_of(path)}")
        raise
    found = os.fstat(fd)
    if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
        os.close(fd)
        _refuse(path, "is not a plain file")
    return fd


def open_own(path, flags, mode="ab"):
    """A file of this user's, made when it is missing."""
    fd = _open_file(path, flags | os.O_CREAT)
    owner = os.fstat(fd).st_uid
    if owner != os.geteuid():
        os.close(fd)
        _refuse(path, f"belongs to {name_of(owner)}")
    return os.fdopen(fd, mode, buffering=0)


def read_secret(path):
    """A file of this user's that nobody else may read; None when there is none."""
    try:
        fd = _open_file(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    with os.fdopen(fd) as f:
        found = os.fstat(fd)
        if found.st_uid != os.geteuid():
            _refuse(path, f"belongs to {name_of(found.st_uid)}")
        if found.st_mode & 0o077:
            _refuse(path, f"may be read by others (mode {stat.S_IMODE(found.st_mode):04o})")
        return f.read()


def remove_tree(path):
    """A directory of this user's and all in it; gone is fine, somebody else's stays and is said."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return True
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        print(f"{path} is not ours and stays.", flush=True)
        return False
    shutil.rmtree(path)
    return True


def remove_own(path, mark):
    """A file of this user's whose text holds the mark; anything else stays and is said."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return
    if stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid() and mark.encode() in path.read_bytes():
        path.unlink()
    else:
        print(f"{path} is not ours and stays.", flush=True)


def is_ours_alone(path):
    """Whether nobody but root and this user can put something else in the place of path or of what is above it."""
    for part in [path, *path.parents]:
        found = part.stat()
        if found.st_uid not in (0, os.geteuid()):
            return False
        if found.st_mode & 0o022 and not found.st_mode & stat.S_ISVTX:
            return False
    return True
