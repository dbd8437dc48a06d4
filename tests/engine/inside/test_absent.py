"""The stand-ins, with Rasa's own modules as the users."""

import importlib
import sys
import unittest

from engine import absent

absent.install()


class Absent(unittest.TestCase):
    def test_every_module_of_rasas_commands_is_imported(self) -> None:
        import rasa.__main__  # noqa: F401

        self.assertIsInstance(sys.modules["tensorflow"], absent.AbsentModule)
        self.assertIsInstance(sys.modules["pymongo"], absent.AbsentModule)

    def test_installed_packages_are_never_replaced(self) -> None:
        for name in ("numpy", "sqlalchemy", "redis", "sklearn", "google.protobuf"):
            self.assertNotIsInstance(importlib.import_module(name), absent.AbsentModule, name)

    def test_a_package_nobody_listed_stays_missing(self) -> None:
        with self.assertRaises(ImportError):
            importlib.import_module("spacy")

    def test_using_a_stand_in_names_package_and_remedy(self) -> None:
        import boto3
        import tensorflow as tf

        uses = {
            "tensorflow.keras.layers.Dense": lambda: tf.keras.layers.Dense(3),
            "tensorflow.reduce_sum": lambda: tf.reduce_sum([1]),
            "boto3.client": lambda: boto3.client("s3"),
        }
        for name, use in uses.items():
            with self.assertRaises(absent.AbsentPackage) as raised:
                use()
            self.assertIn(name, str(raised.exception))
            remedy = "engine-tensorflow" if name.startswith("tensorflow") else "engine/pyproject.toml"
            self.assertIn(remedy, str(raised.exception))

    def test_a_subclass_of_a_stand_in_cannot_be_made(self) -> None:
        from rasa.utils.tensorflow.layers import Ffnn

        with self.assertRaisesRegex(absent.AbsentPackage, "tensorflow"):
            Ffnn([3], 0.1, 0.1, 0.1, "layer")

    def test_classes_work_as_annotations_bases_and_decorators(self) -> None:
        import tensorflow as tf

        class Model(tf.keras.Model):  # type: ignore[misc]
            @tf.function  # type: ignore[untyped-decorator]
            def call(self, x: list[tf.Tensor] | None) -> int:
                return 3

            @tf.function(jit_compile=True)  # type: ignore[untyped-decorator]
            def other(self) -> int:
                return 4

        self.assertEqual((Model.call(None, None), Model.other(None)), (3, 4))

    def test_errors_stand_in_except_clauses(self) -> None:
        import aio_pika.exceptions
        import botocore.exceptions
        import pymongo.errors

        names = (
            botocore.exceptions.ClientError,
            pymongo.errors.ConnectionFailure,
            *aio_pika.exceptions.CONNECTION_EXCEPTIONS,
        )
        with self.assertRaises(ZeroDivisionError):
            try:
                raise ZeroDivisionError
            except names:
                self.fail("caught by a stand-in")


if __name__ == "__main__":
    unittest.main()
