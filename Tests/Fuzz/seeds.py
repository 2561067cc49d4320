#!/usr/bin/env python3
"""Makes the seed corpora of Tests/Fuzz: small files of made-up images, in every encoding that the node reads.

Run once by hand when a seed is to be added; the corpora are committed. Needs DCMTK's and GDCM's tools, pydicom and imagecodecs.
"""
import pathlib
import struct
import subprocess

import imagecodecs
import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import CTImageStorage, EnhancedCTImageStorage, ExplicitVRLittleEndian, RTStructureSetStorage

HERE = pathlib.Path(__file__).resolve().parent
SIZE = 16


def image(columns=SIZE, rows=SIZE, bits=16, stored=12, signed=0, sop_class=CTImageStorage, frames=None):
    d = Dataset()
    d.SpecificCharacterSet, d.ImageType = "ISO_IR 192", ["ORIGINAL", "PRIMARY", "AXIAL"]
    d.SOPClassUID, d.SOPInstanceUID, d.Modality = sop_class, "2.25.1", "CT"
    d.PatientName, d.PatientID, d.PatientBirthDate = "Fuzz^Größe", "FUZZ", "19700101"
    d.StudyInstanceUID, d.SeriesInstanceUID, d.FrameOfReferenceUID = "2.25.2", "2.25.3", "2.25.4"
    d.SliceThickness, d.PatientPosition, d.InstanceNumber = 5, "HFS", 1
    d.ImagePositionPatient, d.ImageOrientationPatient, d.PixelSpacing = [-10, -20.5, 5], [1, 0, 0, 0, 1, 0], [0.5, 0.75]
    d.SamplesPerPixel, d.PhotometricInterpretation, d.Rows, d.Columns = 1, "MONOCHROME2", rows, columns
    d.BitsAllocated, d.BitsStored, d.HighBit, d.PixelRepresentation = bits, stored, stored - 1, signed
    d.PixelPaddingValue, d.RescaleSlope, d.RescaleIntercept, d.RescaleType = 0, 1, -1024, "HU"
    y, x = np.mgrid[:rows, :columns]
    pixels = ((x * 37 + y * y * 5) % (1 << stored)).astype("<u2" if bits == 16 else "u1")
    d.PixelData = pixels.tobytes() * (frames or 1)
    d["PixelData"].VR = "OW" if bits == 16 else "OB"
    if frames:
        d.NumberOfFrames = frames
        shared, measures, orientation = Dataset(), Dataset(), Dataset()
        measures.PixelSpacing, measures.SliceThickness = [0.5, 0.75], 5
        orientation.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = Sequence([measures]), Sequence([orientation])
        d.SharedFunctionalGroupsSequence = Sequence([shared])
        groups = []
        for k in range(frames):
            group, position = Dataset(), Dataset()
            position.ImagePositionPatient = [0, 0, 5 * k]
            group.PlanePositionSequence = Sequence([position])
            groups.append(group)
        d.PerFrameFunctionalGroupsSequence = Sequence(groups)
    return d


def structure_set():
    d = Dataset()
    d.SOPClassUID, d.SOPInstanceUID, d.StructureSetLabel = RTStructureSetStorage, "2.25.9", "FUZZ"
    contour, roi, named, reference = Dataset(), Dataset(), Dataset(), Dataset()
    contour.ContourGeometricType, contour.NumberOfContourPoints, contour.ContourData = "CLOSED_PLANAR", 3, [0, 0, 0, 1, 0, 0, 0, 1, 0]
    roi.ROIDisplayColor, roi.ReferencedROINumber, roi.ContourSequence = [255, 0, 0], 1, Sequence([contour])
    named.ROINumber, named.ROIName = 1, "a"
    d.StructureSetROISequence, d.ROIContourSequence = Sequence([named]), Sequence([roi])
    reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = CTImageStorage, "2.25.1"
    d.ReferencedImageSequence = Sequence([reference])
    return d


def save(d, path):
    d.file_meta = FileMetaDataset()
    d.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    d.save_as(path, enforce_file_format=True)


def run(*command):
    subprocess.run([str(part) for part in command], check=True, capture_output=True)


def data_sets(folder):
    """One file an encoding: the tools of DCMTK and GDCM transcode the plain one."""
    files = {"explicit": image(), "signed": image(signed=1, stored=16), "eight": image(bits=8, stored=8), "enhanced": image(frames=2, sop_class=EnhancedCTImageStorage),
             "structures": structure_set()}
    for name, d in files.items():
        save(d, folder / name)
    plain, eight = folder / "explicit", folder / "eight"
    run("dcmconv", "+ti", plain, folder / "implicit")
    run("dcmconv", "+tb", plain, folder / "bigendian")
    run("dcmconv", "+td", plain, folder / "deflated")
    run("dcmconv", "+te", "-e", folder / "structures", folder / "structures-undefined")
    run("dcmcrle", plain, folder / "rle")
    run("dcmcrle", eight, folder / "rle-8")
    run("dcmcjpeg", "+eb", eight, folder / "jpeg-baseline")
    run("dcmcjpeg", "+ee", plain, folder / "jpeg-extended")
    run("dcmcjpeg", "+e1", plain, folder / "jpeg-lossless")
    run("dcmcjpeg", "+el", plain, folder / "jpeg-lossless-14")
    run("dcmcjpls", plain, folder / "jpegls")
    run("dcmcjpls", "+en", plain, folder / "jpegls-near")
    run("gdcmconv", "--j2k", plain, folder / "jpeg2000")
    run("gdcmconv", "--j2k", "--lossy", "-q", "10", eight, folder / "jpeg2000-lossy")


def codestreams(folder, data):
    """The first frame's codestream behind the number of its family."""
    from pydicom import dcmread
    from pydicom.encaps import generate_frames
    for path in sorted(data.iterdir()):
        d = dcmread(path)
        if d.file_meta.TransferSyntaxUID.is_encapsulated:
            family = next(number for number, name in FAMILIES if path.name.startswith(name))
            (folder / path.name).write_bytes(bytes([family]) + next(generate_frames(d.PixelData, number_of_frames=1)))
    pixels = dcmread(data / "explicit").pixel_array
    for name, reversible in {"jpeg2000-ht": True, "jpeg2000-ht-lossy": False}.items():
        (folder / name).write_bytes(b"\4" + imagecodecs.htj2k_encode(pixels, reversible=reversible))


# The families in the order of codestream/target.cpp, each with the prefix of its seeds' names.
FAMILIES = [(0, "rle-8"), (1, "rle"), (3, "jpegls"), (4, "jpeg2000"), (2, "jpeg")]


def pdu(kind, body):
    return struct.pack(">BBI", kind, 0, len(body)) + body


def item(kind, body):
    return struct.pack(">BBH", kind, 0, len(body)) + body


def associate(*contexts, extra=b""):
    body = struct.pack(">HH", 1, 0) + b"ANY".ljust(16) + b"FUZZ".ljust(16) + bytes(32) + item(0x10, b"1.2.840.10008.3.1.1.1")
    for index, (abstract, transfer) in enumerate(contexts):
        body += item(0x20, bytes([2 * index + 1, 0, 0, 0]) + item(0x30, abstract) + b"".join(item(0x40, one) for one in transfer))
    return pdu(1, body + item(0x50, item(0x51, struct.pack(">I", 16384)) + item(0x52, b"1.2.3") + item(0x55, b"FUZZ") + extra))


def data(context, flags, value):
    return pdu(4, struct.pack(">IBB", len(value) + 2, context, flags) + value)


def command(**elements):
    numbers = {"sop_class": 0x0002, "requested_class": 0x0003, "field": 0x0100, "id": 0x0110, "priority": 0x0700, "data_set": 0x0800, "instance": 0x1000,
               "requested_instance": 0x1001, "event": 0x1002, "action": 0x1008}
    body = b""
    for name, value in elements.items():
        value = struct.pack("<H", value) if isinstance(value, int) else value + b"\0" * (len(value) % 2)
        body += struct.pack("<HHI", 0, numbers[name], len(value)) + value
    return struct.pack("<HHII", 0, 0, 4, len(body)) + body


CT, VERIFICATION, COMMITMENT, MPPS = b"1.2.840.10008.5.1.4.1.1.2", b"1.2.840.10008.1.1", b"1.2.840.10008.1.20.1", b"1.2.840.10008.3.1.2.3.3"
EXPLICIT, IMPLICIT = b"1.2.840.10008.1.2.1", b"1.2.840.10008.1.2"


def conversations(folder, data_folder):
    """What a peer sends from its A-ASSOCIATE-RQ to its end."""
    release, abort = pdu(5, bytes(4)), pdu(7, bytes(4))
    ct, verification = (CT, [EXPLICIT, IMPLICIT]), (VERIFICATION, [IMPLICIT])
    plain = (data_folder / "explicit").read_bytes()
    content = plain[144 + struct.unpack("<I", plain[140:144])[0]:]
    echo = data(1, 3, command(sop_class=VERIFICATION, field=0x30, id=1, data_set=0x101))
    store = data(1, 3, command(sop_class=CT, field=1, id=2, priority=0, data_set=0, instance=b"2.25.1"))
    whole = data(1, 2, content)
    parts = b"".join(data(1, 0, content[at:at + 300]) for at in range(0, len(content), 300)) + data(1, 2, b"")
    roles = item(0x54, struct.pack(">H", len(CT)) + CT + b"\1\1") + item(0x53, struct.pack(">HH", 4, 4)) + item(0x56, struct.pack(">H", len(CT)) + CT + b"\2\0\0\0\1\0")
    identity = item(0x58, b"\2\1" + struct.pack(">H", 4) + b"user" + struct.pack(">H", 6) + b"secret")
    both = associate(verification) + echo
    n_action = command(requested_class=COMMITMENT, field=0x0130, id=1, data_set=0, requested_instance=b"1.2.840.10008.1.20.1.1", action=1)
    n_create = command(sop_class=MPPS, field=0x0140, id=1, data_set=0, instance=b"2.25.7")
    for name, conversation in {
        "echo": both + release,
        "store": associate(ct) + store + whole + release,
        "store-parts": associate(ct) + store + parts + release,
        "store-twice": associate(ct, verification) + store + whole + store + parts + abort,
        "negotiation": associate(ct, verification, (b"1.2.840.113619.4.1", [b"1.2.840.10008.1.2.4.90"]), extra=roles + identity) + release,
        "no-services": associate((b"1.2.840.10008.5.1.4.1.2.2.1", [IMPLICIT])) + release,
        "breaks-off": associate(ct) + store + data(1, 0, content[:200]),
        "commitment": associate((COMMITMENT, [IMPLICIT])) + data(1, 3, n_action) + data(1, 2, struct.pack("<HHI", 0x0008, 0x1195, 6) + b"2.25.5") + release,
        "mpps": associate((MPPS, [EXPLICIT])) + data(1, 3, n_create) + data(1, 2, struct.pack("<HH2sH", 0x0040, 0x0252, b"CS", 12) + b"IN PROGRESS ") + release,
        "cancel": both + data(1, 3, command(field=0x0FFF, id=1, data_set=0x101)) + release,
    }.items():
        (folder / name).write_bytes(conversation)


if __name__ == "__main__":
    folders = {name: HERE / name / "corpus" for name in ("dataset", "codestream", "network")}
    for folder in folders.values():
        folder.mkdir(parents=True, exist_ok=True)
    data_sets(folders["dataset"])
    codestreams(folders["codestream"], folders["dataset"])
    conversations(folders["network"], folders["dataset"])
