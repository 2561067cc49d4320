"""The cases of series.py: each makes a folder of DICOM files, from real scans or from a phantom that is made here.

The phantom is a function of patient position without any symmetry, so that a mirrored, turned, shifted or scaled volume shows at once.
It is written with pydicom; nothing of it comes from medlsam-node.
"""
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, UID

CT, ENHANCED_CT = UID("1.2.840.10008.5.1.4.1.1.2"), UID("1.2.840.10008.5.1.4.1.1.2.1")
SECONDARY_CAPTURE = UID("1.2.840.10008.5.1.4.1.1.7")


def uid(*names) -> UID:
    return pydicom.uid.generate_uid(prefix="1.2.826.0.1.3680043.10.9999.", entropy_srcs=[str(n) for n in names])


def hounsfield(p: np.ndarray) -> np.ndarray:
    """HU at patient positions (..., 3) in mm, LPS."""
    x, y, z = np.moveaxis(p, -1, 0)
    body = (x / 70) ** 2 + (y / 85) ** 2 + (z / 90) ** 2 <= 1
    hu = np.where(body, np.round(30 + 0.4 * x + 0.9 * y + 0.7 * z), -1000)
    block = (15 < x) & (x < 45) & (-40 < y) & (y < -10) & (0 < z) & (z < 30)  # left, anterior, superior
    return np.where(block, 700, hu).astype(int)


@dataclass
class Phantom:
    """A stack of slices; `rows` and `columns` are the directions of Image Orientation (Patient): of increasing column index first."""
    name: str
    orientation: tuple = (1, 0, 0, 0, 1, 0)
    spacing: tuple = (4.0, 3.0)  # between rows, between columns (Pixel Spacing)
    size: tuple = (48, 56)  # rows, columns
    steps: list = field(default_factory=lambda: [6.0] * 19)  # between slices, along the normal
    shift: tuple = (0, 0, 0)  # of each slice against the one before, besides: gantry tilt
    position: str = "HFS"
    slope: float = 1
    intercept: float = -1024
    bits: int = 12
    high_bit: int | None = None
    signed: bool = False

    @property
    def axes(self):
        a, b = np.array(self.orientation[:3], float), np.array(self.orientation[3:], float)
        return a, b, np.cross(a, b)

    def positions(self) -> np.ndarray:
        a, b, n = self.axes
        heights = np.concatenate([[0], np.cumsum(self.steps)])
        corner = -(a * self.spacing[1] * (self.size[1] - 1) + b * self.spacing[0] * (self.size[0] - 1) + n * heights[-1]) / 2
        shift = np.array(self.shift, float)
        return np.array([corner + n * h + shift * (k - len(heights) / 2) for k, h in enumerate(heights)])

    def hu(self, position) -> np.ndarray:
        a, b, _ = self.axes
        j, i = np.mgrid[0:self.size[0], 0:self.size[1]]
        return hounsfield(position + i[..., None] * self.spacing[1] * a + j[..., None] * self.spacing[0] * b)

    def slice(self, k: int) -> Dataset:
        d, position = Dataset(), self.positions()[k]
        d.SOPClassUID, d.SOPInstanceUID = CT, uid(self.name, k)
        d.StudyInstanceUID, d.SeriesInstanceUID, d.FrameOfReferenceUID = uid(self.name, "study"), uid(self.name, "series"), uid(self.name, "frame")
        d.ImageType, d.Modality, d.Manufacturer = ["ORIGINAL", "PRIMARY", "AXIAL"], "CT", "medlsam-node judges"
        d.PatientName, d.PatientID, d.PatientBirthDate, d.PatientSex = "Phantom^", "PHANTOM", "", ""
        d.StudyDate, d.StudyTime, d.ContentDate, d.ContentTime, d.StudyID, d.AccessionNumber = "20260102", "030405", "20260102", "030405", "1", ""
        d.AcquisitionDate, d.AcquisitionTime = "20260102", "030405"
        d.ReferringPhysicianName, d.SeriesNumber, d.AcquisitionNumber, d.InstanceNumber = "", 2, 1, k + 1
        d.SeriesDescription, d.ProtocolName, d.BodyPartExamined, d.PatientPosition = "phantom", "phantom", "HEAD", self.position
        d.ConvolutionKernel, d.KVP, d.SliceThickness, d.PositionReferenceIndicator = "STANDARD", "120", f"{self.steps[0]:.6g}", ""
        d.ImageOrientationPatient = [f"{v:.10g}" for v in self.orientation]
        d.ImagePositionPatient = [f"{v:.10g}" for v in position]
        d.PixelSpacing = [f"{v:.10g}" for v in self.spacing]
        d.Rows, d.Columns = self.size
        self.store(d, self.hu(position))
        return d

    def store(self, d: Dataset, hu: np.ndarray) -> None:
        d.SamplesPerPixel, d.PhotometricInterpretation, d.PixelRepresentation = 1, "MONOCHROME2", int(self.signed)
        d.BitsAllocated, d.BitsStored = 16 if self.bits > 8 else 8, self.bits
        d.HighBit = self.high_bit if self.high_bit is not None else self.bits - 1
        d.RescaleSlope, d.RescaleIntercept, d.RescaleType = f"{self.slope:g}", f"{self.intercept:g}", "HU"
        low, high = (-(1 << self.bits - 1), (1 << self.bits - 1) - 1) if self.signed else (0, (1 << self.bits) - 1)
        stored = np.clip(np.round((hu - self.intercept) / self.slope), low, high).astype(int) & ((1 << self.bits) - 1)
        stored <<= d.HighBit + 1 - self.bits
        d.PixelData = stored.astype("<u2" if self.bits > 8 else "u1").tobytes()
        d["PixelData"].VR = "OW"

    def slices(self) -> list:
        return [self.slice(k) for k in range(len(self.steps) + 1)]


def save(folder: Path, datasets: list, first: int = 1, syntax=ExplicitVRLittleEndian) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for n, d in enumerate(datasets, first):
        d.file_meta = FileMetaDataset()
        d.file_meta.TransferSyntaxUID = syntax
        d.file_meta.MediaStorageSOPClassUID, d.file_meta.MediaStorageSOPInstanceUID = d.SOPClassUID, d.SOPInstanceUID
        d.save_as(folder / f"{n:04d}.dcm", enforce_file_format=True)


# MARK: Phantoms

POSITIONS = {  # orientation of an axial image in each patient position (PS3.3 C.7.3.1.1.2)
    "HFS": (1, 0, 0, 0, 1, 0), "HFP": (-1, 0, 0, 0, -1, 0), "FFS": (1, 0, 0, 0, 1, 0), "FFP": (-1, 0, 0, 0, -1, 0),
    "HFDL": (0, -1, 0, 1, 0, 0), "HFDR": (0, 1, 0, -1, 0, 0), "FFDL": (0, -1, 0, 1, 0, 0), "FFDR": (0, 1, 0, -1, 0, 0),
}


def turned(*degrees) -> tuple:
    """The axial orientation, turned about x, y and z."""
    x, y, z = np.radians(degrees)
    rx = np.array([[1, 0, 0], [0, np.cos(x), -np.sin(x)], [0, np.sin(x), np.cos(x)]])
    ry = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    rz = np.array([[np.cos(z), -np.sin(z), 0], [np.sin(z), np.cos(z), 0], [0, 0, 1]])
    m = rz @ ry @ rx
    return tuple(m[:, 0]) + tuple(m[:, 1])


def phantom(change: Callable = None, **settings) -> Callable:
    """A maker of a phantom series; `change` gets the slices and returns what is to be written."""
    def make(folder: Path, _shared: Path, name: str) -> None:
        p = Phantom(name, **settings)
        slices = p.slices()
        save(folder, change(slices, p) if change else slices)
    return make


def each(**values) -> Callable:
    def change(slices, _):
        for d in slices:
            for keyword, value in values.items():
                setattr(d, keyword, value)
        return slices
    return change


def without(keyword: str, k: int) -> Callable:
    def change(slices, _):
        delattr(slices[k], keyword)
        return slices
    return change


def reversed_numbers(slices, _):
    for n, d in enumerate(reversed(slices)):
        d.InstanceNumber = n + 1
    return slices


def padded(value, tag: bool) -> Callable:
    """Outside the reconstruction circle, `value` HU; said in Pixel Padding Value or not."""
    def change(slices, p):
        j, i = np.mgrid[0:p.size[0], 0:p.size[1]]
        outside = ((j - p.size[0] / 2) / (p.size[0] / 2)) ** 2 + ((i - p.size[1] / 2) / (p.size[1] / 2)) ** 2 > 1
        for k, d in enumerate(slices):
            p.store(d, np.where(outside, value, p.hu(p.positions()[k])))
            if tag:
                d.add_new("PixelPaddingValue", "SS", int((value - p.intercept) / p.slope))
        return slices
    return change


def scaled_by_slice(slices, p):
    for k, d in enumerate(slices):
        q = Phantom(p.name, slope=[1, 0.5, 2, 0.25][k % 4], intercept=[-1024, -1000, -1100, -1024][k % 4], bits=16)
        q.store(d, p.hu(p.positions()[k]))
    return slices


def localizer_beside(slices, p):
    scout = Phantom(p.name + " scout", orientation=(1, 0, 0, 0, 0, -1)).slice(0)
    scout.SeriesInstanceUID, scout.StudyInstanceUID, scout.FrameOfReferenceUID = slices[0].SeriesInstanceUID, slices[0].StudyInstanceUID, slices[0].FrameOfReferenceUID
    scout.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    return [scout] + slices


def capture_beside(slices, p):
    capture = Phantom(p.name + " capture").slice(0)
    capture.SOPClassUID, capture.Modality, capture.ImageType = SECONDARY_CAPTURE, "CT", ["DERIVED", "SECONDARY"]
    capture.SeriesInstanceUID, capture.StudyInstanceUID = slices[0].SeriesInstanceUID, slices[0].StudyInstanceUID
    for keyword in ["ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"]:
        delattr(capture, keyword)
    return slices + [capture]


def second_stack(slices, p, **changes):
    """The same places once more in the same series, with other pixels."""
    more = Phantom(p.name).slices()
    for k, d in enumerate(more):
        d.SOPInstanceUID, d.InstanceNumber = uid(p.name, "again", k), len(slices) + k + 1
        p.store(d, p.hu(p.positions()[k]) + 50)
        for keyword, value in changes.items():
            setattr(d, keyword, value)
    return slices + more


def another_at_one_place(slices, p):
    more = p.slice(7)
    more.SOPInstanceUID = uid(p.name, "more")
    p.store(more, p.hu(p.positions()[7]) + 50)
    return slices + [more]


def apart(slices, p):
    """Two stacks one above the other, far apart, with other spacing."""
    q = Phantom(p.name, steps=[3.0] * 14)
    more = q.slices()
    for k, d in enumerate(more):
        d.SOPInstanceUID, d.InstanceNumber = uid(p.name, "apart", k), len(slices) + k + 1
        d.ImagePositionPatient = [d.ImagePositionPatient[0], d.ImagePositionPatient[1], f"{float(d.ImagePositionPatient[2]) + 400:g}"]
        d.SliceThickness = "3"
    return slices + more


def enhanced(folder: Path, _shared: Path, name: str) -> None:
    """An Enhanced CT image (PS3.3 A.38.1) with its frames in no order."""
    p = Phantom(name)
    slices, d = p.slices(), p.slice(0)
    for keyword in ["ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness", "RescaleSlope", "RescaleIntercept", "RescaleType"]:
        delattr(d, keyword)
    d.SOPClassUID, d.ImageType = ENHANCED_CT, ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    order = np.random.default_rng(5).permutation(len(slices))
    d.NumberOfFrames = len(slices)
    d.PixelData = b"".join(slices[k].PixelData for k in order)
    shared, measures, orientation, transform, kind = Dataset(), Dataset(), Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness, measures.SpacingBetweenSlices = slices[0].PixelSpacing, "6", "6"
    orientation.ImageOrientationPatient = slices[0].ImageOrientationPatient
    transform.RescaleSlope, transform.RescaleIntercept, transform.RescaleType = "1", "-1024", "HU"
    kind.FrameType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = Sequence([measures]), Sequence([orientation])
    shared.PixelValueTransformationSequence, shared.CTImageFrameTypeSequence = Sequence([transform]), Sequence([kind])
    d.SharedFunctionalGroupsSequence = Sequence([shared])
    frames = []
    for n, k in enumerate(order):
        frame, content, plane = Dataset(), Dataset(), Dataset()
        content.StackID, content.InStackPositionNumber, content.DimensionIndexValues = "1", int(k) + 1, [1, int(k) + 1]
        plane.ImagePositionPatient = slices[k].ImagePositionPatient
        frame.FrameContentSequence, frame.PlanePositionSequence = Sequence([content]), Sequence([plane])
        frames.append(frame)
    d.PerFrameFunctionalGroupsSequence = Sequence(frames)
    organization, stack, place = Dataset(), Dataset(), Dataset()
    organization.DimensionOrganizationUID = uid(name, "dimensions")
    for item, pointer in [(stack, 0x00209056), (place, 0x00209057)]:
        item.DimensionOrganizationUID, item.DimensionIndexPointer, item.FunctionalGroupPointer = organization.DimensionOrganizationUID, pointer, 0x00209111
    d.DimensionOrganizationSequence, d.DimensionIndexSequence = Sequence([organization]), Sequence([stack, place])
    save(folder, [d])


def legacy_converted(folder: Path, _shared: Path, name: str) -> None:
    """A Legacy Converted Enhanced CT image as highdicom makes it."""
    from highdicom.legacy import LegacyConvertedEnhancedCTImage
    plain = folder.parent / (folder.name + "-plain")
    save(plain, Phantom(name).slices())
    slices = [pydicom.dcmread(f) for f in sorted(plain.iterdir())]
    image = LegacyConvertedEnhancedCTImage(slices, uid(name, "converted"), 3, uid(name, "object"), 1)
    folder.mkdir(parents=True, exist_ok=True)
    image.save_as(folder / "0001.dcm")


# MARK: Real scans

def copied(relative: str, pick: slice = slice(None)) -> Callable:
    def make(folder: Path, shared: Path, _name: str) -> None:
        folder.mkdir(parents=True)
        for f in sorted((shared / "data/dicom" / relative).glob("*.dcm"))[pick]:
            shutil.copy(f, folder)
    return make


def stacked(suffix: str, count: int = 6) -> Callable:
    """Copies of one real compressed slice at several places: what its encoder wrote stays as it is."""
    def make(folder: Path, shared: Path, name: str) -> None:
        folder.mkdir(parents=True)
        for k in range(count):
            d = pydicom.dcmread(shared / "data/dicom/transfer-syntaxes" / f"CTImage.dcm{suffix}")
            d.SOPInstanceUID, d.InstanceNumber = uid(name, k), k + 1
            d.file_meta.MediaStorageSOPInstanceUID = d.SOPInstanceUID
            x, y, z = d.ImagePositionPatient
            d.ImagePositionPatient = [x, y, f"{float(z) + 6.5 * k:g}"]
            d.save_as(folder / f"{k:04d}.dcm")
    return make


def transcoded(*command: str) -> Callable:
    """Eight slices of the abdomen, compressed by another toolkit's tool."""
    def make(folder: Path, shared: Path, _name: str) -> None:
        folder.mkdir(parents=True)
        for f in sorted((shared / "data/dicom/abdomen").glob("*.dcm"))[:8]:
            subprocess.run([*command, f, folder / f.name], check=True, capture_output=True)
    return make


def high_throughput(folder: Path, shared: Path, _name: str) -> None:
    """Eight slices of the abdomen as High-Throughput JPEG 2000 (lossless), by OpenJPH."""
    import imagecodecs
    from pydicom.encaps import encapsulate
    folder.mkdir(parents=True)
    for f in sorted((shared / "data/dicom/abdomen").glob("*.dcm"))[:8]:
        d = pydicom.dcmread(f)
        d.PixelData = encapsulate([imagecodecs.htj2k_encode(np.ascontiguousarray(d.pixel_array), reversible=True)])
        d["PixelData"].VR, d["PixelData"].is_undefined_length = "OB", True
        d.file_meta.TransferSyntaxUID = UID("1.2.840.10008.1.2.4.201")
        d.save_as(folder / f.name, implicit_vr=False, little_endian=True, enforce_file_format=True)


def planning_scan(folder: Path, shared: Path, _name: str) -> None:
    import sys
    subprocess.run([sys.executable, shared / "tools/openkbp2dicom.py", shared / "data/openkbp/validation/pt_236.npz", folder, "--no-rtstruct"],
                   check=True, capture_output=True)


def head(converter: Path, project: Path) -> Callable:
    def make(folder: Path, _shared: Path, _name: str) -> None:
        subprocess.run([converter, project, folder], check=True, capture_output=True)
    return make


# MARK: The list

#: Why SimpleITK differs, where an image of it cannot say what the slices are.
STACKS_ALL = "it stacks every file of a series, whatever it is, and spreads the slices over the sum."
SHEAR = "its image has one spacing and right angles only: it lays tilted or uneven slices on a grid on which they do not lie."
ORDER = "it takes the frames in the order of the file, whatever their positions say, and 1 mm for every distance."
#: Why dcm2niix differs.
FOURTH = "it writes both stacks into one file of four dimensions."
TILT = "it straightens the tilt too; places agree, values differ where edges were interpolated."
EVEN = "it spaces the slices evenly by another distance."


@dataclass
class Case:
    name: str
    source: str
    make: Callable
    #: Words that must stand in our refusal; None where the series must be read.
    refused: str | None = None
    #: Why a judge that reads it too says otherwise, by the judge's name; without, all that read it must agree.
    differs: dict = field(default_factory=dict)
    #: Makes the same scan in an encoding that every judge reads, for those that cannot read the case.
    original: Callable | None = None
    #: Left out where quick judges are asked for.
    slow: bool = False

    @property
    def is_phantom(self) -> bool:
        return self.source.startswith("phantom")


def phantoms() -> list:
    cases = [Case(f"axial {p}", "phantom", phantom(orientation=o, position=p)) for p, o in POSITIONS.items()]
    cases += [
        Case("sagittal", "phantom", phantom(orientation=(0, 1, 0, 0, 0, -1))),
        Case("coronal", "phantom", phantom(orientation=(1, 0, 0, 0, 0, -1))),
        Case("oblique", "phantom", phantom(orientation=turned(20, -15, 35))),
        Case("oblique near sagittal", "phantom", phantom(orientation=turned(80, 70, 5))),
        Case("normal pointing down", "phantom", phantom(orientation=(1, 0, 0, 0, -1, 0))),
        Case("instance numbers against the normal", "phantom", phantom(reversed_numbers)),
        Case("anisotropic pixels", "phantom", phantom(spacing=(6.5, 2.25), size=(30, 80))),
        Case("orientation rounded to four decimals", "phantom",
             phantom(lambda s, p: each(ImageOrientationPatient=[f"{v:.4f}" for v in p.orientation])(s, p), orientation=turned(3, 2, 1))),
        Case("signed 16 bits", "phantom", phantom(signed=True, bits=16, intercept=0)),
        Case("unsigned 16 bits", "phantom", phantom(bits=16)),
        Case("8 bits", "phantom", phantom(bits=8, slope=8)),
        Case("signed 12 bits", "phantom", phantom(signed=True, bits=12, intercept=0), differs={
            "dcm2niix": "it reads 12-bit two's complement as if the sign bit were the 16th. PS3.5 8.1.1: the sign bit is the High Bit."}),
        Case("12 bits in the upper bits of 16", "phantom", phantom(bits=12, high_bit=15), differs={
            reader: "it takes the whole word for the value. PS3.5 8.1.1: the value is the Bits Stored below and including the High Bit."
            for reader in ("dcm2niix", "SimpleITK")}),
        Case("scale of each slice its own", "phantom", phantom(scaled_by_slice)),
        Case("padding of -2000 with Pixel Padding Value", "phantom", phantom(padded(-2000, True), signed=True, bits=16, intercept=0)),
        Case("padding of -2000 without", "phantom", phantom(padded(-2000, False), signed=True, bits=16, intercept=0)),
        Case("padding of -3024", "phantom", phantom(padded(-3024, True), signed=True, bits=16, intercept=0)),
        Case("localizer in the series", "phantom", phantom(localizer_beside), differs={"SimpleITK": STACKS_ALL}),
        Case("capture in the series", "phantom", phantom(capture_beside), differs={"SimpleITK": STACKS_ALL}),
        Case("five slices", "phantom", phantom(steps=[6.0] * 4)),
        Case("three slices", "phantom", phantom(steps=[6.0] * 2)),
        Case("300 slices of 64 x 64", "phantom", phantom(steps=[0.5] * 299, size=(64, 64)), slow=True),
        Case("matrix of 2048", "phantom", phantom(steps=[6.0] * 4, size=(2048, 2048), spacing=(0.1, 0.1)), slow=True),
        Case("overlapping slices", "phantom", phantom(each(SliceThickness="6"), steps=[2.0] * 30)),
        Case("one slice missing", "phantom", phantom(lambda s, p: s[:7] + s[8:]), "slices are missing"),
        Case("one slice twice, the same", "phantom", phantom(lambda s, p: s + [p.slice(7)]), differs={"SimpleITK": STACKS_ALL}),
        Case("another slice at the same place", "phantom", phantom(another_at_one_place), "lie at the same position and differ"),
        Case("gantry tilt of 12 degrees", "phantom", phantom(shift=(0, 6 * np.tan(np.radians(12)), 0)), differs={"dcm2niix": TILT, "SimpleITK": SHEAR}),
        Case("uneven spacing", "phantom", phantom(steps=[6.0] * 8 + [3.0] * 8), differs={"dcm2niix": EVEN, "SimpleITK": SHEAR}),
        Case("two kernels at the same places", "phantom", phantom(lambda s, p: second_stack(s, p, ConvolutionKernel="YB")), differs={"dcm2niix": FOURTH, "SimpleITK": STACKS_ALL}),
        Case("two phases at the same places", "phantom", phantom(lambda s, p: second_stack(s, p, TemporalPositionIdentifier="2")), differs={"dcm2niix": FOURTH, "SimpleITK": STACKS_ALL}),
        Case("two stacks, far apart", "phantom", phantom(apart), differs={
            "dcm2niix": "it fills the 32 cm between the two regions with slices that nobody scanned.", "SimpleITK": STACKS_ALL}),
        Case("enhanced CT, frames in no order", "phantom", enhanced, differs={"SimpleITK": ORDER}),
        Case("legacy converted enhanced CT", "phantom, highdicom", legacy_converted),
        Case("Rescale Type US", "phantom", phantom(each(RescaleType="US")), "Rescale Type"),
        Case("no Image Position", "phantom", phantom(without("ImagePositionPatient", 3)), "Image Position"),
        Case("one slice of another matrix", "phantom",
             phantom(lambda s, p: s[:9] + [Phantom(p.name, size=(24, 28), spacing=(8, 6)).slice(9)] + s[10:]), "Rows or Columns"),
        Case("the last slice of another matrix", "phantom",
             phantom(lambda s, p: s[:-1] + [Phantom(p.name, size=(24, 28), spacing=(8, 6)).slice(19)])),
    ]
    return cases


def real(converter: Path, project: Path) -> list:
    syntaxes = {
        "": "implicit VR", "_LittleEndianExplicitTransferSyntax_1.2.840.10008.1.2.1.dcm": "explicit VR",
        "_BigEndianExplicitTransferSyntax_1.2.840.10008.1.2.2.dcm": "big endian",
        "_DeflatedExplicitVRLittleEndianTransferSyntax_1.2.840.10008.1.2.1.99.dcm": "deflated",
        "_RLELosslessTransferSyntax_1.2.840.10008.1.2.5.dcm": "RLE",
        "_JPEGProcess14TransferSyntax_1.2.840.10008.1.2.4.57.dcm": "JPEG lossless .57",
        "_JPEGProcess14SV1TransferSyntax_1.2.840.10008.1.2.4.70.dcm": "JPEG lossless .70",
        "_JPEGLSLosslessTransferSyntax_1.2.840.10008.1.2.4.80.dcm": "JPEG-LS lossless",
        "_JPEG2000LosslessOnlyTransferSyntax_1.2.840.10008.1.2.4.90.dcm": "JPEG 2000 lossless",
        "_JPEGProcess1TransferSyntax_1.2.840.10008.1.2.4.50.dcm": "JPEG baseline .50",
        "_JPEGProcess2_4TransferSyntax_1.2.840.10008.1.2.4.51.dcm": "JPEG extended .51",
        "_JPEGProcess6_8TransferSyntax_1.2.840.10008.1.2.4.53.dcm": "JPEG .53",
        "_JPEGProcess10_12TransferSyntax_1.2.840.10008.1.2.4.55.dcm": "JPEG progressive .55",
        "_JPEGLSLossyTransferSyntax_1.2.840.10008.1.2.4.81.dcm": "JPEG-LS near-lossless",
        "_JPEG2000TransferSyntax_1.2.840.10008.1.2.4.91.dcm": "JPEG 2000 lossy",
    }
    differs = {"JPEG baseline .50": {
        "dcm2niix": "its JPEG decoder is off by up to 12 grey levels, of 32 HU each here. libjpeg and libjpeg-turbo give the values of GDCM and ours."}}
    cases = [Case(name, "GE slice, six copies", stacked(suffix), differs=differs.get(name, {})) for suffix, name in syntaxes.items()]
    return cases + [
        Case("abdomen", "GE LightSpeed 16, FFS", copied("abdomen")),
        Case("abdomen as JPEG lossless", "dcmcjpeg", transcoded("dcmcjpeg", "+e1")),
        Case("abdomen as JPEG-LS", "gdcmconv", transcoded("gdcmconv", "--jpegls")),
        Case("abdomen as JPEG 2000", "gdcmconv", transcoded("gdcmconv", "--j2k")),
        Case("abdomen as RLE", "dcmcrle", transcoded("dcmcrle")),
        Case("abdomen as HTJ2K", "OpenJPH by imagecodecs", high_throughput, original=copied("abdomen", slice(8))),
        Case("head", "Debian's invesalius-examples", head(converter, project)),
        Case("planning scan", "OpenKBP pt_236", planning_scan),
        Case("gantry tilt", "GE, +18.5 degrees, 14 slices", copied("gantry-tilt", slice(14)), differs={"dcm2niix": TILT, "SimpleITK": SHEAR}),
        Case("gantry tilt and uneven", "GE, +18.5 degrees, 28 slices", copied("gantry-tilt"), differs={"dcm2niix": EVEN, "SimpleITK": SHEAR}),
        Case("enhanced perfusion map, fragmented", "Philips, 2 frames", copied("transfer-syntaxes", slice(1)), ""),
        Case("no pixel data", "a structured report", lambda f, s, n: copied_one(f, s, "no-pixel-data.dcm"), ""),
        Case("no pixel spacing", "a digital X-ray", lambda f, s, n: copied_one(f, s, "no-pixel-spacing.dcm"), ""),
    ]


def copied_one(folder: Path, shared: Path, name: str) -> None:
    folder.mkdir(parents=True)
    shutil.copy(shared / "data/dicom/transfer-syntaxes" / name, folder)
